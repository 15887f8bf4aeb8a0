"""Names that the server makes up: `generateName` plus five characters nobody reads as a word."""

from __future__ import annotations

import random

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and without digits that look like letters, so that no words come out."""
_SUFFIX = 5
MAX_BASE = 63 - _SUFFIX


def suffix(rng: random.Random, length: int = _SUFFIX) -> str:
    return "".join(rng.choices(_ALPHABET, k=length))


def generate(base: str, rng: random.Random) -> str:
    """A name that begins with `base`, at most 63 characters long."""
    return base[:MAX_BASE] + suffix(rng)
