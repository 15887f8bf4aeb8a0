"""Images: from the name in a manifest to the program of this machine that is run for it."""

from __future__ import annotations

from .resolve import DEFAULT_PATH, ImageSpec, resolve

__all__ = ["DEFAULT_PATH", "ImageSpec", "resolve"]
