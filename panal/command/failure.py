"""How a sub-command ends when it can't do what was asked."""

from __future__ import annotations


class Failure(Exception):
    """One clear sentence for the user: what, why, and the way out."""
