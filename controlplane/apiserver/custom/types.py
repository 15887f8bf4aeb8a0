"""A custom kind's schema as the type tree that patching and server-side apply walk. Pure."""

from __future__ import annotations

from typing import Any

from ..schema import Field, Kind, ListType, Type, schema

Node = dict[str, Any]

_ANY = Type("any", "interface {}")
_STRING = Type("string", "string")
_SCALARS: dict[str, Kind] = {"string": "string", "boolean": "bool", "integer": "int64", "number": "float64"}


def root(node: Node) -> Type:
    """The type of the whole object: its schema, and the fields that every object has."""
    return _resource(_type(node), node)


def _resource(made: Type, node: Node) -> Type:
    struct = Type("struct", "custom", atomic=made.atomic)
    struct.fields = dict(made.fields)
    for name in ("apiVersion", "kind"):
        struct.fields[name] = _field(_STRING)
    struct.fields["metadata"] = _field(schema().metadata())
    return struct


def _field(kind: Type) -> Field:
    return Field(kind, required=False, omit_zero=False)


def _type(node: Node) -> Type:
    if node.get("x-kubernetes-int-or-string"):
        return Type("intorstring", "intstr.IntOrString")
    match node.get("type"):
        case "object":
            return _object(node)
        case "array":
            return _list(node)
        case str(name) if name in _SCALARS:
            return Type(_SCALARS[name], name)
    return _object(node) if node.get("properties") else _ANY


def _object(node: Node) -> Type:
    atomic = node.get("x-kubernetes-map-type") == "atomic"
    values = node.get("additionalProperties")
    if isinstance(values, dict):
        items = _type(values)
        return Type("map", f"map[string]{items.go}", items=items, atomic=atomic)
    properties = node.get("properties")
    if not properties:
        return Type("any", "interface {}", atomic=atomic)
    made = Type("struct", "object", atomic=atomic)
    made.fields = {name: _field(_type(child)) for name, child in properties.items()}
    return _resource(made, node) if node.get("x-kubernetes-embedded-resource") else made


def _list(node: Node) -> Type:
    items = node.get("items")
    of = _type(items) if isinstance(items, dict) else _ANY
    list_type: ListType = node.get("x-kubernetes-list-type") or "atomic"
    return Type(
        "list",
        f"[]{of.go}",
        items=of,
        atomic=list_type == "atomic",
        list_type=list_type,
        keys=tuple(node.get("x-kubernetes-list-map-keys") or ()),
    )
