"""Checking a custom object against its schema, with the words of Kubernetes' own validator. Pure.

The schema is OpenAPI 3.0 as far as a CustomResourceDefinition may use it; paths begin at the object (`spec.size`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from ..fielderrors import FieldError, bad, duplicate, not_supported, required, too_long, too_many
from ..validation import meta
from . import formats, patterns

Node = dict[str, Any]

_NOWHERE = "<nil>"
"""Where the complaints of anyOf, oneOf, allOf and not are, in Kubernetes' words."""


def validate(node: Node, obj: dict[str, Any]) -> list[FieldError]:
    """Everything wrong with an object."""
    errors = _check(node, {key: value for key, value in obj.items() if key != "metadata"}, "", root=True)
    if not any(error.type == "TypeInvalid" for error in errors):
        errors += _lists(node, obj, "")
    return errors


def _check(node: Node, value: Any, path: str, *, root: bool = False) -> list[FieldError]:
    if value is None:
        return [] if node.get("nullable") or not (node.get("type") or node.get("x-kubernetes-int-or-string")) else [
            _type_error(node.get("type") or "integer,string", "null", path)
        ]  # fmt: skip
    errors = _type(node, value, path)
    errors += _combined(node, value, path)
    kind = type(value)
    if kind is str:
        errors += _string(node, value, path)
    elif kind in (int, float):
        errors += _number(node, value, path)
    elif kind is list:
        errors += _array(node, value, path)
    if (allowed := node.get("enum")) is not None and not any(_equal(value, each) for each in allowed):
        shown = [each if isinstance(each, str) else orjson.dumps(each).decode() for each in allowed]
        errors.append(not_supported(path, value, shown))
    if kind is dict:
        errors += _object(node, value, path, root=root)
    return errors


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def name_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _type(node: Node, value: Any, path: str) -> list[FieldError]:
    found = name_of(value)
    if node.get("x-kubernetes-int-or-string"):
        whole = isinstance(value, float) and value.is_integer()
        return [] if found in ("integer", "string") or whole else [_type_error("integer,string", found, path)]
    wanted = node.get("type")
    if not wanted or found == wanted or (wanted == "number" and found == "integer"):
        return _formatted(node, value, path) if found == "string" else []
    if wanted == "integer" and found == "number" and value.is_integer():
        return []
    return [_type_error(wanted, found, path)]


def _type_error(wanted: str, found: str, path: str) -> FieldError:
    return FieldError("TypeInvalid", path, found, f'{_in_body(path)} must be of type {wanted}: "{found}"')


def _formatted(node: Node, value: str, path: str) -> list[FieldError]:
    name = node.get("format")
    if not name or formats.matches(name, value):
        return []
    shown = orjson.dumps(value).decode()
    return [FieldError("TypeInvalid", path, value, f"{_in_body(path)} must be of type {name}: {shown}")]


def _in_body(path: str) -> str:
    return f"{path} in body"


def _combined(node: Node, value: Any, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if branches := node.get("anyOf"):
        results = [_check(each, value, path) for each in branches]
        if all(results):
            errors.append(_composite(path, "must validate at least one schema (anyOf)"))
            errors += sorted(results, key=len)[0]
    if branches := node.get("oneOf"):
        results = [_check(each, value, path) for each in branches]
        valid = sum(not each for each in results)
        if valid != 1:
            found = "Found none valid" if not valid else f"Found {valid} valid alternatives"
            errors.append(_composite(path, f"must validate one and only one schema (oneOf). {found}"))
            failures = sorted((each for each in results if each), key=len)
            errors += failures[0] if failures else []
    if branches := node.get("allOf"):
        results = [_check(each, value, path) for each in branches]
        if any(results):
            none = ". None validated" if all(results) else ""
            errors += [error for each in results for error in each]
            errors.append(_composite(path, f"must validate all the schemas (allOf){none}"))
    if (refused := node.get("not")) is not None and not _check(refused, value, path):
        errors.append(_composite(path, "must not validate the schema (not)"))
    return errors


def _composite(path: str, words: str) -> FieldError:
    return bad(_NOWHERE, "", f"{orjson.dumps(path).decode()} {words}")


def _string(node: Node, value: str, path: str) -> list[FieldError]:
    errors = []
    if (limit := node.get("maxLength")) is not None and len(value) > limit:
        errors.append(too_long(path, int(limit)))
    if (limit := node.get("minLength")) is not None and len(value) < limit:
        errors.append(bad(path, value, f"{_in_body(path)} should be at least {limit} chars long"))
    if (pattern := node.get("pattern")) and not patterns.search(pattern, value):
        errors.append(bad(path, value, f"{_in_body(path)} should match '{pattern}'"))
    return errors


def _number(node: Node, value: float, path: str) -> list[FieldError]:
    errors = []
    if (step := node.get("multipleOf")) and not _multiple(value, step):
        errors.append(bad(path, value, f"{_in_body(path)} should be a multiple of {step}"))
    if (limit := node.get("maximum")) is not None:
        if node.get("exclusiveMaximum") and value >= limit:
            errors.append(bad(path, value, f"{_in_body(path)} should be less than {limit}"))
        elif value > limit:
            errors.append(bad(path, value, f"{_in_body(path)} should be less than or equal to {limit}"))
    if (limit := node.get("minimum")) is not None:
        if node.get("exclusiveMinimum") and value <= limit:
            errors.append(bad(path, value, f"{_in_body(path)} should be greater than {limit}"))
        elif value < limit:
            errors.append(bad(path, value, f"{_in_body(path)} should be greater than or equal to {limit}"))
    if (width := {"int32": 31, "int64": 63}.get(node.get("format", ""))) and not -(2**width) <= value < 2**width:
        words = f"Checked value must be of type integer with format {node['format']} in {path}"
        errors.append(bad(path, value, words))
    return errors


def _multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    quotient = value / step
    return math.isclose(quotient, round(quotient), rel_tol=1e-9, abs_tol=1e-9)


def _array(node: Node, value: list[Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if (limit := node.get("maxItems")) is not None and len(value) > limit:
        return [too_many(path, len(value), int(limit))]
    if (limit := node.get("minItems")) is not None and len(value) < limit:
        errors.append(bad(path, len(value), f"{_in_body(path)} should have at least {limit} items"))
    if node.get("uniqueItems") and len({_key(each) for each in value}) < len(value):
        errors.append(bad(path, "", f"{_in_body(path)} shouldn't contain duplicates"))
    if isinstance(items := node.get("items"), dict):
        for index, item in enumerate(value):
            errors += _check(items, item, f"{path}[{index}]")
    return errors


def _key(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _object(node: Node, value: dict[str, Any], path: str, *, root: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if (limit := node.get("minProperties")) is not None and len(value) < limit:
        errors.append(bad(path, len(value), f"{_in_body(path)} should have at least {limit} properties"))
    if (limit := node.get("maxProperties")) is not None and len(value) > limit:
        errors.append(too_many(path, len(value), int(limit)))
    properties, others = node.get("properties") or {}, node.get("additionalProperties")
    embedded = node.get("x-kubernetes-embedded-resource")
    errors += [
        required(f"{path}.{name}" if path else name)
        for name in node.get("required") or ()
        if name not in value and not (root and name in ("metadata", "apiVersion", "kind"))
    ]
    if embedded:
        errors += [required(f"{path}.{name}", "must not be empty") for name in ("apiVersion", "kind")
                   if not value.get(name)]  # fmt: skip
        errors += _embedded_metadata(value.get("metadata"), f"{path}.metadata")
    for key, item in value.items():
        child = properties.get(key)
        if child is None and isinstance(others, dict):
            child = others
        if child is not None and not ((root or embedded) and key == "metadata"):
            errors += _check(child, item, f"{path}.{key}" if path else key)
    return errors


def _embedded_metadata(found: Any, path: str) -> list[FieldError]:
    """As any object's, except that it needs no name."""
    if found is None:
        return []
    if not isinstance(found, dict):
        return _type({"type": "object"}, found, path)
    errors: list[FieldError] = []
    checked = {"name": "fakename"}
    for key in ("name", "generateName", "namespace"):
        if isinstance(value := found.get(key), str) and value:
            checked[key] = value
        elif value not in (None, ""):
            errors += _type({"type": "string"}, value, f"{path}.{key}")
    maps: dict[str, dict[str, str]] = {}
    for key in ("labels", "annotations"):
        value = found.get(key) or {}
        schema = {"type": "object", "additionalProperties": {"type": "string"}}
        if wrong := _check(schema, value, f"{path}.{key}"):
            errors += wrong
        else:
            maps[key] = value
    wrong = meta.validate({**checked, **maps}, "namespace" in checked, meta.path_segment_name)
    return errors + [replace(each, field=path + each.field.removeprefix("metadata")) for each in wrong]


def _lists(node: Node, value: Any, path: str) -> list[FieldError]:
    """Items of lists of type set and map come once."""
    errors: list[FieldError] = []
    if type(value) is list:
        errors += _repeated(node, value, path)
        if isinstance(items := node.get("items"), dict):
            for index, item in enumerate(value):
                errors += _lists(items, item, f"{path}[{index}]")
    elif type(value) is dict:
        properties, others = node.get("properties") or {}, node.get("additionalProperties")
        for key, item in value.items():
            child = properties.get(key, others)
            if isinstance(child, dict) and type(item) in (list, dict):
                errors += _lists(child, item, f"{path}.{key}" if path else key)
    return errors


def _repeated(node: Node, value: list[Any], path: str) -> list[FieldError]:
    match node.get("x-kubernetes-list-type"):
        case "set":
            identity: Callable[[Any], Any] = lambda item: item  # noqa: E731
        case "map":
            keys = node.get("x-kubernetes-list-map-keys") or ()
            fields = (node.get("items") or {}).get("properties") or {}
            defaults = {key: fields.get(key, {}).get("default") for key in keys}

            def identity(item: Any) -> Any:
                found = {key: item.get(key, defaults[key]) for key in keys} if isinstance(item, dict) else {}
                return {key: each for key, each in found.items() if each is not None}
        case _:
            return []
    seen: set[bytes] = set()
    errors = []
    for index, item in enumerate(value):
        found = identity(item)
        if (key := _key(found)) in seen:
            errors.append(duplicate(f"{path}[{index}]", found))
        seen.add(key)
    return errors
