"""JSON merge patch (RFC 7396): objects merge, null removes, everything else replaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal.errors import BadRequest

MAX_DEPTH = 200
"""Deeper patches than any object's are refused instead of exhausting the stack."""


def merge_patch(obj: Mapping[str, Any], patch: Any) -> dict[str, Any]:
    """The patched object. Raises BadRequest where the patch is no object."""
    if not isinstance(patch, Mapping):
        raise BadRequest("Invalid JSON Patch")
    return _merge(obj, patch, 0)


def _merge(target: Any, patch: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise BadRequest("the patch is nested too deeply")
    found: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping):
            found[key] = _merge(found.get(key), value, depth + 1)
        else:
            found[key] = value
    return found
