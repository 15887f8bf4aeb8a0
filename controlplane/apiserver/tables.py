"""Objects in the Table form (meta.k8s.io Table): the columns that a real Kubernetes 1.36 shows, and their cells.

Columns are recorded data (data/table-columns.json); what stands in them is `rows/`, one function a kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson

from panal.resources import Resource

from . import ages
from .custom.resource import CustomResource
from .rows import ROWS

Object = dict[str, Any]
Include = Literal["None", "Metadata", "Object"]

_PLAIN = [
    {"name": "Name", "type": "string", "format": "name", "priority": 0},
    {"name": "Age", "type": "string", "format": "", "priority": 0},
]
"""For kinds without columns of their own."""
_NAME = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a "
    "client to request the generation of an appropriate name automatically. Name is primarily intended for creation "
    "idempotence and configuration definition. Cannot be updated."
)


@cache
def columns(group_version: str, plural: str) -> tuple[dict[str, Any], ...]:
    """The columnDefinitions of a resource."""
    recorded = orjson.loads((Path(__file__).parent / "data" / "table-columns.json").read_bytes())["tables"]
    found = recorded.get(f"{group_version} {plural}", _PLAIN)
    return tuple(
        {
            "name": column["name"],
            "type": column["type"],
            "format": column.get("format", ""),
            "description": column.get("description") or (_NAME if column["name"] == "Name" else column["name"]),
            "priority": column.get("priority", 0),
        }
        for column in found
    )


def table(resource: Resource, objects: Sequence[Object], *, now: str, include: str = "Metadata") -> Object:
    """The Table of these objects. `now` is RFC 3339; `include` says what each row carries of its object."""
    make = ROWS.get((resource.group, resource.plural))
    moment = ages.parse(now)
    if isinstance(resource, CustomResource):
        return _custom(resource, objects, moment, include)
    rows = []
    for obj in objects:
        cells = make(obj, moment) if make else [obj["metadata"].get("name", ""), ages.of(obj, moment)]
        rows.append(_row(cells, obj, include))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": list(columns(resource.api_version, resource.plural)),
        "rows": rows,
    }


def _custom(resource: CustomResource, objects: Sequence[Object], moment: float, include: str) -> Object:
    from .custom import columns as custom

    name = {"name": "Name", "type": "string", "format": "name", "description": _NAME, "priority": 0}
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": custom.columns(resource, name),
        "rows": [_row(custom.cells(resource, obj, moment), obj, include) for obj in objects],
    }


def _row(cells: list[Any], obj: Object, include: str) -> Object:
    row: Object = {"cells": cells}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj["metadata"],
        }
    return row
