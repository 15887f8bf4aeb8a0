"""Durations as Go writes them on command lines: 40s, 1m30s, 500ms. Pure."""

from __future__ import annotations

import re


def seconds(text: str) -> float:
    """A Go duration of the usual sort, or plain seconds. Raises ValueError for other text."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", text)
    if parts is None or not text:
        return float(text)
    hours, minutes, whole, thousandths = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + whole + thousandths / 1000
