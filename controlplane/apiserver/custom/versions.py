"""Semantic versions in CEL: `semver('1.2.3').isLessThan(semver('1.10.0'))`. Pure. https://semver.org/spec/v2.0.0.html"""

from __future__ import annotations

import re
from typing import Any

SEMVER = "semver"

_FORM = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)


def _normal(text: str) -> str:
    """Without a leading v, with all three numbers, none of which has leading zeros."""
    numbers, mark, rest = re.fullmatch(r"v?([0-9.]*)([-+]?)(.*)", text.strip(), re.DOTALL).groups()  # type: ignore[union-attr]
    parts = [str(int(each)) if each else each for each in numbers.split(".")]
    return ".".join([*parts, "0", "0"][: max(3, len(parts))]) + mark + rest


def is_semver(text: str, normalize: bool = False) -> bool:
    return _FORM.fullmatch(_normal(text) if normalize else text) is not None


def semver(text: str, normalize: bool = False) -> dict[str, str]:
    """Raises ValueError."""
    found = _normal(text) if normalize else text
    if _FORM.fullmatch(found) is None:
        raise ValueError(f"Semver parse error: {text!r}")
    return {SEMVER: found}


def number(value: dict[str, str], index: int) -> int:
    return int(value[SEMVER].partition("-")[0].partition("+")[0].split(".")[index])


def key(value: dict[str, str]) -> Any:
    """What versions are ordered by: a version comes after its pre-releases; numbers come before words."""
    match = _FORM.fullmatch(value[SEMVER])
    assert match is not None
    before = match[4]
    words = [(0, int(each), "") if each.isdecimal() else (1, 0, each) for each in (before or "").split(".") if each]
    return [int(match[1]), int(match[2]), int(match[3])], before is None, words
