"""What the test conversion webhook makes of custom objects: `hostPort` of v1 is `host` and `port` of v2. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_V1, _V2 = "stable.example.com/v1", "stable.example.com/v2"


class Impossible(Exception):
    """The object can't be had in that version; the message is for the review's result."""


def convert_review(request: Mapping[str, Any]) -> dict[str, Any]:
    """The response of a ConversionReview."""
    wanted = request.get("desiredAPIVersion", "")
    try:
        objects = [convert(found, wanted) for found in request.get("objects") or ()]
    except Impossible as error:
        failed = {"metadata": {}, "status": "Failure", "message": str(error)}
        return {"uid": request.get("uid", ""), "convertedObjects": [], "result": failed}
    return {
        "uid": request.get("uid", ""),
        "convertedObjects": objects,
        "result": {"metadata": {}, "status": "Success"},
    }


def convert(found: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """Raises Impossible."""
    had = found.get("apiVersion", "")
    if had == wanted:
        raise Impossible(f"conversion from a version to itself should not call the webhook: {wanted}")
    if had not in (_V1, _V2):
        raise Impossible(f'unexpected conversion version "{had}"')
    if wanted not in (_V1, _V2):
        raise Impossible(f'unexpected conversion version "{wanted}"')
    converted = {**found, "apiVersion": wanted}
    if wanted == _V2 and "hostPort" in converted:
        parts = str(converted.pop("hostPort")).split(":")
        if len(parts) != 2:
            raise Impossible(f"invalid hostPort value `{found['hostPort']}`")
        converted["host"], converted["port"] = parts
    if wanted == _V1 and ("host" in converted or "port" in converted):
        converted["hostPort"] = f"{converted.pop('host', '')}:{converted.pop('port', '')}"
    return converted
