"""PATCH: from a body of one of the four kinds to the change it makes of an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from panal.errors import BadRequest, Invalid, UnsupportedMediaType
from panal.resources import Resource

from . import patch as patch_kinds
from .apply import apply
from .context import Call

Change = Callable[[dict[str, Any]], dict[str, Any]]

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
MEDIA = (JSON_PATCH, MERGE, STRATEGIC)

_OPERATIONS_LIMIT = 10_000
"""Operations of one JSON patch at most, as in Kubernetes."""


def supported(media: str) -> str:
    """Raises UnsupportedMediaType for what is no patch."""
    if media not in MEDIA:
        raise UnsupportedMediaType("415: Unsupported Media Type", details={})
    return media


def change(media: str, raw: bytes, resource: Resource | None) -> Change:
    """What the patch does. Raises BadRequest for a body that cannot be read."""
    try:
        patch = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"error decoding patch: {error}") from None
    if media == JSON_PATCH:
        if not isinstance(patch, list):
            raise BadRequest("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
        if len(patch) > _OPERATIONS_LIMIT:
            raise BadRequest(f"The allowed maximum operations in a JSON patch is {_OPERATIONS_LIMIT}")
        return lambda obj: _an_object(patch_kinds.json_patch(obj, patch))
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}")
    if media == MERGE or resource is None:
        return lambda obj: _an_object(patch_kinds.merge_patch(obj, patch))
    return lambda obj: _an_object(patch_kinds.strategic_merge_patch(resource, obj, patch))


def _an_object(result: Any) -> dict[str, Any]:
    if not isinstance(result, dict) or not isinstance(result.get("metadata", {}), dict):
        raise BadRequest("the patched object is not an object")
    return result


def applying(call: Call, applied: dict[str, Any]) -> tuple[Change, Callable[[], dict[str, Any]]]:
    """Server-side apply: the change of an existing object, and the object when there is none."""
    if not call.query.get("fieldManager"):
        raise _no_manager()
    metadata = applied.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise BadRequest("metadata is not an object")
    if metadata.get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    metadata.setdefault("name", call.target.name)
    if metadata["name"] != call.target.name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({call.target.name})"
        )

    def merged(live: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = apply(
            call.resource,
            live,
            orjson.loads(orjson.dumps(applied)),
            manager=call.manager,
            force=call.query.flag("force"),
            now=call.timestamp,
        )
        return result

    return merged, lambda: merged(None)


def _no_manager() -> Invalid:
    message = "Required value: is required for apply patch"
    return Invalid(
        f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: {message}',
        details={
            "group": "meta.k8s.io",
            "kind": "PatchOptions",
            "causes": [{"reason": "FieldValueRequired", "message": message, "field": "fieldManager"}],
        },
    )
