"""The three ways to change part of an object: JSON patch, JSON merge patch and strategic merge patch.

Each returns a new object; what they get is never changed. Refusals are the API's errors.
"""

from __future__ import annotations

from .jsonpatches import json_patch
from .mergepatch import merge_patch
from .strategic import strategic_merge_patch

__all__ = ["json_patch", "merge_patch", "strategic_merge_patch"]
