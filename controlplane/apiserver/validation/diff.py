"""The lines in which two objects differ, for messages that say what may not change."""

from __future__ import annotations

import difflib
from typing import Any

import orjson

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


def difference(before: Any, after: Any) -> str:
    """The changed lines of both, as one reads a diff, each ended."""
    old, new = (orjson.dumps(item, option=_OPTIONS).decode().splitlines() for item in (before, after))
    lines = difflib.unified_diff(old, new, n=1, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@"))) + "\n"
