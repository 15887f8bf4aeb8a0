"""Why a machine can't join, and the way out."""

from __future__ import annotations


class Refused(Exception):
    """One sentence for the user."""
