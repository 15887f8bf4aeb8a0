"""The types of Kubernetes' objects, compiled lazily from the schemas that the kubernetes-validate package carries.

`schema().of(resource)` is the type tree that decoding, patching and server-side apply walk; `decode` brings a JSON
object into the form the API server stores. Nothing is loaded at import, and
each definition is read and compiled when a kind first needs it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast

import orjson

from panal.resources import Resource

from . import gotypes
from .custom.resource import CustomResource
from .definitions import Definitions, published

Kind = Literal[
    "struct", "map", "list", "string", "bytes", "bool", "int32", "int64", "float64", "quantity", "intorstring", "time",
    "microtime", "any",
]  # fmt: skip
ListType = Literal["atomic", "set", "map"]

VERSION = "v1.36.0"
_DEFINITIONS = "#/$defs/"
_SPECIAL: dict[str, Kind] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
}


@dataclass(slots=True, eq=False)
class Type:
    """One type. `go` is its name in Kubernetes' own messages, for example `v1.Container` or `[]string`."""

    kind: Kind
    go: str
    fields: dict[str, Field] = field(default_factory=dict)
    """Of a struct, by JSON name."""
    items: Type | None = None
    """Of a list's or map's values."""
    atomic: bool = False
    """Whether server-side apply owns it as a whole."""
    list_type: ListType = "atomic"
    keys: tuple[str, ...] = ()
    """The fields that tell the items of a list of type `map` apart."""
    merge: bool = False
    """Whether strategic merge patches merge this list (by `merge_key`, or as a set of scalars)."""
    merge_key: str = ""
    fills: tuple[tuple[str, Field], ...] = ()
    """Of a struct: the fields that are always written, with their zero value where the object has none."""


@dataclass(slots=True, eq=False)
class Field:
    """A struct's field. `omit_zero`: Kubernetes leaves it out when it is the zero value of its type."""

    type: Type
    required: bool
    omit_zero: bool
    retain_keys: bool = False
    written: bool = False
    """Whether it is written even when the object has none, as its zero value."""

    def zero(self, *, pointer: bool) -> Any:
        """What is written where the object has none; `pointer` fields are null then."""
        if pointer:
            return None
        return empty(self.type) if self.type.kind == "struct" else _ZEROS.get(self.type.kind)


_ZEROS: dict[str, Any] = {
    "string": "", "bool": False, "int32": 0, "int64": 0, "float64": 0, "quantity": "0", "intorstring": 0,
}  # fmt: skip
_ANY = Type("any", "interface {}")


def empty(struct: Type) -> dict[str, Any]:
    """The JSON form of a struct's zero value."""
    return {name: item.zero(pointer=gotypes.is_pointer(struct.go, name)) for name, item in struct.fills}


class Schema:
    """The definitions of one Kubernetes version."""

    def __init__(self, version: str = VERSION) -> None:
        self._definitions = Definitions(published(version))
        self._compiled: dict[str, Type] = {}
        self._empty: dict[tuple[str, str, str], bytes] = {}

    def of(self, resource: Resource) -> Type:
        """The type of a resource's objects; one that accepts everything where no schema is known."""
        if isinstance(resource, CustomResource):
            return resource.type
        return self.kind(resource.group, resource.version, resource.kind)

    def kind(self, group: str, version: str, kind: str) -> Type:
        name = self._definitions.kinds.get((group, version, kind))
        return _ANY if name is None else self._definition(name)

    def empty(self, resource: Resource) -> dict[str, Any]:
        """A fresh zero object of the resource, as Kubernetes would write it."""
        if isinstance(resource, CustomResource):
            return {}
        key = (resource.group, resource.version, resource.kind)
        if key not in self._empty:
            self._empty[key] = orjson.dumps(empty(self.of(resource)))
        made: dict[str, Any] = orjson.loads(self._empty[key])
        return made

    def metadata(self) -> Type:
        """The type of every object's metadata."""
        return self._definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")

    def definition_name(self, resource: Resource) -> str | None:
        """The OpenAPI name of a resource's definition, for example io.k8s.api.core.v1.Pod."""
        if isinstance(resource, CustomResource):
            return resource.definition_name
        return self._definitions.kinds.get((resource.group, resource.version, resource.kind))

    def definition(self, name: str) -> dict[str, Any]:
        """The JSON schema of a definition, with its descriptions. Raises KeyError."""
        return self._definitions.read(name)

    def names(self) -> tuple[str, ...]:
        return self._definitions.names()

    def _definition(self, name: str) -> Type:
        found = self._compiled.get(name)
        if found is None:
            if name in _SPECIAL:
                found = self._compiled[name] = Type(_SPECIAL[name], _go_name(name))
            else:
                found = self._compile(name, self._definitions.read(name))
        return found

    def _compile(self, name: str, definition: dict[str, Any]) -> Type:
        properties = definition.get("properties")
        if not properties:
            compiled = self._type(definition, _go_name(name))
            self._compiled[name] = compiled
            return compiled
        struct = Type("struct", _go_name(name), atomic=definition.get("x-kubernetes-map-type") == "atomic")
        self._compiled[name] = struct  # before its fields: definitions may contain themselves
        required = frozenset(definition.get("required", ()))
        is_object = "x-kubernetes-group-version-kind" in definition or "metadata" in properties
        for key, value in properties.items():
            struct.fields[key] = self._field(struct.go, key, value, key in required)
        struct.fills = tuple(
            (key, item)
            for key, item in struct.fields.items()
            if item.required
            or gotypes.always_written(struct.go, key)
            or (is_object and key in ("metadata", "spec", "status") and item.type.kind == "struct")
            or (item.type.kind in ("time", "microtime") and key in gotypes.PLAIN_TIMES)
        )
        for _, item in struct.fills:
            item.written = True
        return struct

    def _field(self, owner: str, key: str, value: dict[str, Any], required: bool) -> Field:
        kind = self._type(value, "")
        strategy = value.get("x-kubernetes-patch-strategy", "")
        omit = not required and gotypes.omits_zero(owner, key, kind.kind)
        return Field(kind, required, omit, "retainKeys" in strategy)

    def _type(self, value: dict[str, Any], go: str) -> Type:
        reference = value.get("$ref")
        if reference is not None:
            found = self._definition(reference.removeprefix(_DEFINITIONS))
            if value.get("x-kubernetes-map-type") == "atomic" and not found.atomic:
                found = copy.copy(found)
                found.atomic = True
            return found
        names = value.get("type")
        name = names if isinstance(names, str) else next((item for item in names or () if item != "null"), "")
        match name:
            case "array":
                return self._list(value)
            case "object" if "additionalProperties" in value and isinstance(value["additionalProperties"], dict):
                items = self._type(value["additionalProperties"], "")
                return Type("map", f"map[string]{items.go}", items=items, atomic=_is_atomic(value))
            case "string" if value.get("format") == "byte":
                return Type("bytes", "[]uint8")
            case "string":
                return Type("string", "string")
            case "boolean":
                return Type("bool", "bool")
            case "integer":
                return Type("int32" if value.get("format") == "int32" else "int64", value.get("format") or "int64")
            case "number":
                return Type("float64", "float64")
        return Type("any", go or "interface {}")

    def _list(self, value: dict[str, Any]) -> Type:
        items = self._type(value.get("items", {}), "")
        list_type: ListType = value.get("x-kubernetes-list-type", "atomic")
        return Type(
            "list",
            f"[]{items.go}",
            items=items,
            atomic=list_type == "atomic",
            list_type=list_type,
            keys=tuple(value.get("x-kubernetes-list-map-keys", ())),
            merge="merge" in value.get("x-kubernetes-patch-strategy", ""),
            merge_key=value.get("x-kubernetes-patch-merge-key", ""),
        )


def _is_atomic(value: dict[str, Any]) -> bool:
    return value.get("x-kubernetes-map-type") == "atomic"


def _go_name(name: str) -> str:
    """io.k8s.api.core.v1.Container -> v1.Container."""
    return ".".join(name.split(".")[-2:])


@cache
def schema() -> Schema:
    return Schema()


def decode(resource: Resource, obj: dict[str, Any], field_validation: str = "Ignore") -> list[str]:
    """`decode.decode`, where callers of the schema look for it."""
    from .decode import FieldValidation, decode

    return decode(resource, obj, cast(FieldValidation, field_validation))
