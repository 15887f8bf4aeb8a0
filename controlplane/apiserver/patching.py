"""PATCH: from a body of one of the four kinds to the change it makes of an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from panal.errors import BadRequest, Invalid, UnsupportedMediaType, conflict
from panal.resources import Resource

from . import lastapplied
from . import patch as patch_kinds
from .apply import apply
from .context import Call
from .decode import decode
from .fielderrors import bad, invalid
from .registry import check_kind
from .strategy import strategy_for

Change = Callable[[dict[str, Any]], dict[str, Any]]

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
MEDIA = (JSON_PATCH, MERGE, STRATEGIC)


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
            raise BadRequest(
                "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
            )
        return lambda obj: _an_object(patch_kinds.json_patch(obj, patch))
    if not isinstance(patch, dict):
        raise BadRequest(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )
    if media == MERGE or resource is None:
        return lambda obj: _an_object(patch_kinds.merge_patch(obj, patch))
    return lambda obj: _an_object(patch_kinds.strategic_merge_patch(resource, obj, patch))


def _check_identity(resource: Resource, applied: dict[str, Any]) -> None:
    """An applied configuration says what it is. Raises BadRequest."""
    if not applied.get("kind"):
        shown = orjson.dumps(applied).decode()[:_SHOWN]
        raise BadRequest(f"error decoding YAML: Object 'Kind' is missing in '{shown}'")
    if (given := applied.get("apiVersion")) != resource.api_version and isinstance(given, str):
        raise BadRequest(
            f"Incorrect version specified in apply patch. Specified patch version: {given}, "
            f"expected: {resource.api_version}"
        )


def _an_object(result: Any) -> dict[str, Any]:
    if not isinstance(result, dict) or not isinstance(result.get("metadata", {}), dict):
        raise BadRequest("the patched object is not an object")
    return result


def unfit(media: str, raw: bytes, patched: dict[str, Any], why: str) -> Invalid:
    """The answer for a patch whose outcome cannot be read as the kind it should be."""
    shown = _go_value(orjson.loads(raw)) if media == STRATEGIC else orjson.dumps(patched or orjson.loads(raw)).decode()
    return invalid("", "", "", [bad("patch", shown[:_SHOWN], why)])


_SHOWN = 16_384
"""Characters of a patch that an answer repeats at most."""


def _go_value(value: Any) -> str:
    """As Go prints it with %+v."""
    match value:
        case dict():
            return "map[" + " ".join(f"{key}:{_go_value(value[key])}" for key in sorted(value)) + "]"
        case list():
            return "[" + " ".join(map(_go_value, value)) + "]"
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
    return str(value)


def applying(call: Call, applied: dict[str, Any]) -> tuple[Change, Callable[[], dict[str, Any]], list[str]]:
    """Server-side apply: the change of an existing object, the object when there is none, and warnings.

    Raises BadRequest, Invalid for a configuration or a manager that cannot be.
    """
    _check_identity(call.resource, applied)
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
    check_kind(call.resource, applied)
    validation = call.field_validation
    warnings = decode(call.resource, applied, validation, complete=False)
    strategy = strategy_for(call.resource)

    def merged(live: dict[str, Any] | None) -> dict[str, Any]:
        result = apply(
            call.resource,
            live,
            applied,
            manager=call.manager,
            force=call.query.flag("force"),
            now=call.timestamp,
            subresource=call.target.subresource,
            ceded=lastapplied.ceded(call.resource, live, call.manager),
            default=strategy.default,
        )
        return lastapplied.followed(result, applied, call.manager)

    def new() -> dict[str, Any]:
        if uid := applied["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(call.resource.plural, call.resource.group, call.target.name, why)
        return merged(None)

    return merged, new, warnings
