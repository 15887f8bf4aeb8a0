"""JSON patch (RFC 6902) by the jsonpatch library, with the API server's bounds and answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from panal.errors import Invalid, RequestEntityTooLarge

MAX_OPERATIONS = 10_000
"""As in Kubernetes: a patch may not have more operations."""
REJECTED = "the server rejected our request due to an error in our request"
_OPERATIONS = frozenset(("add", "remove", "replace", "move", "copy", "test"))


def json_patch(obj: Mapping[str, Any], operations: Any) -> dict[str, Any]:
    """The patched object. Raises Invalid where an operation is none or can't be done, a failed test included."""
    import jsonpatch  # type: ignore[import-untyped, unused-ignore]
    import jsonpointer  # type: ignore[import-untyped, unused-ignore]

    if not isinstance(operations, Sequence) or isinstance(operations, str):
        raise _rejected()
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    if not all(isinstance(item, Mapping) and item.get("op") in _OPERATIONS for item in operations):
        raise _rejected()
    try:
        patched = jsonpatch.JsonPatch(_forgiving(obj, operations)).apply(copy.deepcopy(dict(obj)), in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, ValueError, KeyError):
        raise _rejected() from None
    if not isinstance(patched, dict):
        raise _rejected()
    return patched


def _forgiving(obj: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [dict(item) for item in operations]


def _rejected() -> Invalid:
    return Invalid(REJECTED, details={})
