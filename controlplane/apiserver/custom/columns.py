"""The Table of a custom kind: its printer columns, and what stands in them. Pure."""

from __future__ import annotations

from typing import Any

from .. import ages
from . import jsonpath
from .resource import CustomResource

Object = dict[str, Any]

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value. It is represented "
    "in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)}  # fmt: skip


def _listed(resource: CustomResource) -> list[dict[str, Any]]:
    return resource.version_spec.get("additionalPrinterColumns") or [_AGE]


def columns(resource: CustomResource, name: dict[str, Any]) -> list[dict[str, Any]]:
    """The columnDefinitions; `name` is the first."""
    return [
        name,
        *(
            {
                "name": each["name"],
                "type": each["type"],
                "format": each.get("format", ""),
                "description": each.get("description")
                or f"Custom resource definition column (in JSONPath format): {each['jsonPath']}",
                "priority": each.get("priority", 0),
            }
            for each in _listed(resource)
        ),
    ]


def cells(resource: CustomResource, obj: Object, now: float) -> list[Any]:
    """One row. `now` is in seconds since the epoch."""
    row: list[Any] = [obj["metadata"].get("name", "")]
    for column in _listed(resource):
        found = jsonpath.parse(column["jsonPath"]).find(obj)
        row.append(_cell(column["type"], found[0], now) if found else None)
    return row


def _cell(kind: str, value: Any, now: float) -> Any:
    match kind:
        case "string":
            return None if value is None else jsonpath.text(value)
        case "integer" if type(value) in (int, float):
            return int(value)
        case "number" if type(value) in (int, float):
            return value
        case "boolean" if type(value) is bool:
            return value
        case "date" if type(value) is str:
            try:
                return ages.since(value, now)
            except ValueError:
                return "<invalid>"
    return None
