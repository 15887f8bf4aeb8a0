"""Messages and their fields, compiled from the recorded table when an object first needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson

from . import wire
from .pointers import is_pointer

Label = Literal["optional", "repeated", "map"]

_TABLE = Path(__file__).parent.parent / "data" / "protobuf-fields.json"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
_PACKAGES = {
    "": "k8s.io.api.core",
    "apiextensions.k8s.io": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
    "metrics.k8s.io": "k8s.io.metrics.pkg.apis.metrics",
    "meta.k8s.io": "k8s.io.apimachinery.pkg.apis.meta",
}
_EVERYWHERE = frozenset(
    (
        "Status", "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "GetOptions", "ListOptions",
        "WatchEvent", "APIVersions", "APIGroupList", "APIGroup", "APIResourceList", "PartialObjectMetadata",
        "PartialObjectMetadataList", "List",
    )
)  # fmt: skip
"""Kinds of meta/v1 that stand under any group and version."""
_SCALARS = {"bool": wire.VARINT, "int32": wire.VARINT, "int64": wire.VARINT, "double": wire.FIXED64}


@dataclass(slots=True, eq=False)
class Field:
    """One field. `json` is its name there; `inline` fields have none, theirs stand in the owner's object."""

    number: int
    json: str
    label: Label
    type: str
    message: Message | None
    inline: bool
    keep_zero: bool
    """Whether the zero value is a value: the field is a pointer."""
    tag: bytes
    scalar: int
    """The wire type of one value."""


@dataclass(slots=True, eq=False)
class Message:
    """One message. `name` is its last part, as Go's errors have it; `special` ones are no JSON objects."""

    name: str
    special: str = ""
    fields: tuple[Field, ...] = ()
    by_number: dict[int, Field] = field(default_factory=dict)


_SPECIAL = frozenset(
    (
        "k8s.io.apimachinery.pkg.apis.meta.v1.Time", "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime",
        "k8s.io.apimachinery.pkg.apis.meta.v1.Duration", "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1",
        "k8s.io.apimachinery.pkg.apis.meta.v1.Verbs", "k8s.io.apimachinery.pkg.api.resource.Quantity",
        "k8s.io.apimachinery.pkg.util.intstr.IntOrString", "k8s.io.apimachinery.pkg.runtime.RawExtension",
        "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON",
        "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    )
)  # fmt: skip


class Table:
    """All messages: as bytes until they are asked for."""

    def __init__(self, raw: bytes) -> None:
        messages: dict[str, Any] = orjson.loads(raw)["messages"]
        self._raw = {name: orjson.dumps(fields) for name, fields in messages.items()}
        self._compiled: dict[str, Message] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(self._raw)

    def find(self, api_version: str, kind: str) -> Message | None:
        """The message of a kind, None when it has none."""
        name = self._name(api_version, kind)
        return None if name is None else self.message(name)

    def has(self, api_version: str, kind: str) -> bool:
        return self._name(api_version, kind) is not None

    def message(self, name: str) -> Message:
        """Raises KeyError."""
        found = self._compiled.get(name)
        if found is not None:
            return found
        raw = orjson.loads(self._raw[name])
        short = name.rpartition(".")[2]
        special = short if name in _SPECIAL or short == "ExtraValue" else ""
        found = self._compiled[name] = Message(short, special)  # before its fields: messages contain themselves
        made = [self._field(name, key, value) for key, value in raw.items()]
        found.fields = tuple(sorted(made, key=lambda item: item.number))
        found.by_number = {item.number: item for item in made}
        return found

    def _name(self, api_version: str, kind: str) -> str | None:
        group, _, version = api_version.rpartition("/")
        package = _PACKAGES.get(group) or f"k8s.io.api.{group.partition('.')[0]}"
        for name in (f"{package}.{version}.{kind}", _META + kind if kind in _EVERYWHERE else ""):
            if name in self._raw:
                return name
        return None

    def _field(self, owner: str, key: str, value: dict[str, Any]) -> Field:
        kind, label = value["type"], value["label"]
        scalar = wire.BYTES if label == "map" else _SCALARS.get(kind, wire.BYTES)
        json = value.get("json", key)
        return Field(
            number=value["number"],
            json=json,
            label=label,
            type=kind,
            message=self.message(kind) if "." in kind else None,
            inline=bool(value.get("inline")),
            keep_zero=is_pointer(owner, json),
            tag=wire.varint(value["number"] << 3 | scalar),
            scalar=scalar,
        )


@cache
def table() -> Table:
    return Table(_TABLE.read_bytes())
