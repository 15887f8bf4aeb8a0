"""Reading a request's object: types are checked, unknown fields found and removed, values brought into canonical form.

`decode(resource, obj, field_validation)` changes `obj` into what the API server would store and returns warnings. What
it refuses, it refuses with the words that Kubernetes' decoder has.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from panal.errors import BadRequest
from panal.quantity import QuantityError
from panal.resources import Resource

from .custom.resource import CustomResource
from .gotypes import is_pointer
from .quantities import canonical
from .schema import Field, Type, schema

FieldValidation = Literal["", "Ignore", "Warn", "Strict"]
_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
_LIMITS = {"int32": 2**31, "int64": 2**63}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*")


class Mismatch(Exception):
    """A value of the wrong type. `path` is completed on the way out; `plain` errors name no field."""

    def __init__(self, found: str, wanted: str, *, plain: str = "", struct: bool = False) -> None:
        self.found, self.wanted, self.plain, self._wants_struct = found, wanted, plain, struct
        self.path: list[str] = []
        self.struct = ""

    def words(self) -> str:
        if self.plain:
            return self.plain
        where = f"Go struct field {self.struct}.{'.'.join(self.path)}" if self.struct else "Go value"
        return f"json: cannot unmarshal {self.found} into {where} of type {self.wanted}"

    def restoring(self) -> str:
        """The words of the converter that reads what a strategic merge patch made; it names no field."""
        if self.plain:
            return self.plain
        name, _, number = self.found.partition(" ")
        found = {"object": "map", "array": "slice", "number": "float64" if "." in number else "int64"}.get(name, name)
        if self._wants_struct:
            return f"cannot restore struct from: {found}"
        for start, wanted in (("map[", "map"), ("[]", "slice")):
            if self.wanted.startswith(start):
                return f"cannot restore {wanted} from {found}"
        if name == "number" and self.wanted != "bool":
            return f"cannot convert {found} to {self.wanted}"
        return f"unrecognized type: {self.wanted if self.wanted in _GO_KINDS else 'string'}"


STRICT = "strict decoding error: "
_GO_KINDS = ("bool", "int32", "int64", "float64")


class Unreadable(BadRequest):
    """An object that cannot be read as its kind; `restoring` says it of what a strategic merge patch made."""

    def __init__(self, resource: Resource, why: str, restoring: str = "") -> None:
        super().__init__(cannot(resource, why))
        self.why, self.restoring = why, restoring or why


def decode(
    resource: Resource, obj: dict[str, Any], field_validation: FieldValidation = "Ignore", *, complete: bool = True
) -> list[str]:
    """Check and normalise `obj` in place; warnings to send back. Raises Unreadable in Kubernetes' words.

    Without `complete` empty values are neither left out nor filled in: an applied configuration means what it says.
    """
    if isinstance(resource, CustomResource):
        from .custom import decoding

        return decoding.decode(resource, obj, field_validation, complete)
    unknown: list[str] = []
    kind = schema().of(resource)
    if kind.kind != "struct":
        obj.setdefault("metadata", {})
        return []
    try:
        read_struct(kind, obj, unknown, complete)
    except Mismatch as mismatch:
        raise Unreadable(resource, mismatch.words(), mismatch.restoring()) from None
    except RecursionError:
        raise Unreadable(resource, "exceeded max depth") from None
    return complain(resource, unknown, field_validation)


def complain(resource: Resource, unknown: list[str], field_validation: str) -> list[str]:
    """What is said of unknown fields: nothing, warnings, or (Strict) Unreadable."""
    if not unknown or field_validation == "Ignore":
        return []
    if field_validation == "Strict":
        fields = ", ".join(f'unknown field "{name}"' for name in unknown)
        raise Unreadable(resource, f"{STRICT}{fields}")
    return [f'unknown field "{name}"' for name in unknown]


def cannot(resource: Resource, why: str) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}'


def _found(value: Any) -> str:
    return _JSON_NAMES.get(type(value), "object")


def read_struct(struct: Type, value: Any, unknown: list[str], complete: bool) -> None:
    """Check the fields of a struct, in place; adds to `unknown`. Raises Mismatch."""
    if type(value) is not dict:
        raise Mismatch(_found(value), struct.go, struct=True)
    fields = struct.fields
    drop: list[str] | None = None
    key = ""
    try:
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                unknown.append(key)
            elif item is None:
                if complete and field.written:
                    value[key] = field.zero(pointer=is_pointer(struct.go, key))
                    continue
            elif _keep(field, value, key, item, unknown, complete) or not complete:
                continue
            if drop is None:
                drop = [key]
            else:
                drop.append(key)
    except Mismatch as mismatch:
        mismatch.path.insert(0, key)
        if not mismatch.struct:
            mismatch.struct = struct.go.rpartition(".")[2]
        raise
    if drop is not None:
        for key in drop:
            del value[key]
    if complete:
        for key, field in struct.fills:
            if key not in value:
                value[key] = field.zero(pointer=is_pointer(struct.go, key))


def _keep(field: Field, owner: dict[str, Any], key: str, item: Any, unknown: list[str], complete: bool) -> bool:
    """Check one field's value, store its canonical form; False where Kubernetes leaves it out."""
    kind = field.type
    match kind.kind:
        case "string":
            if type(item) is not str:
                raise Mismatch(_found(item), kind.go)
            return bool(item) or not field.omit_zero
        case "struct":
            count = len(unknown)
            read_struct(kind, item, unknown, complete)
            if len(unknown) > count:
                _prefix(unknown, count, f"{key}.")
            return True
        case "list" | "map":
            count = len(unknown)
            _container(kind, item, unknown, complete)
            if len(unknown) > count:
                _prefix(unknown, count, key)
            return bool(item) or not field.omit_zero
        case "any":
            return True
    found = _scalar(kind, item)
    if found is not item:
        owner[key] = found
    return bool(found) or not field.omit_zero


def _prefix(unknown: list[str], start: int, prefix: str) -> None:
    for index in range(start, len(unknown)):
        unknown[index] = prefix + unknown[index]


def _container(kind: Type, value: Any, unknown: list[str], complete: bool) -> None:
    """The items of a list or map, in place."""
    items = kind.items
    assert items is not None
    pairs: Any
    if kind.kind == "list":
        if type(value) is not list:
            raise Mismatch(_found(value), kind.go)
        if items.kind == "string":
            for index, item in enumerate(value):
                if item is None:
                    value[index] = ""
                elif type(item) is not str:
                    raise Mismatch(_found(item), "string")
            return
        pairs = enumerate(value)
    else:
        if type(value) is not dict:
            raise Mismatch(_found(value), kind.go)
        if items.kind == "string":
            for key, item in value.items():
                if item is None:
                    value[key] = ""
                elif type(item) is not str:
                    raise Mismatch(_found(item), "string")
            return
        pairs = value.items()
    is_list = kind.kind == "list"
    for key, item in pairs:
        count = len(unknown)
        if items.kind == "struct":
            if item is None and is_list:
                item = value[key] = {}
            read_struct(items, item, unknown, complete)
        elif items.kind in ("list", "map"):
            if item is not None:
                _container(items, item, unknown, complete)
        elif items.kind != "any":
            found = _scalar(items, item) if item is not None else _null(items)
            if found is not item:
                value[key] = found
        if len(unknown) > count:
            _prefix(unknown, count, f"[{key}]." if is_list else f".{key}.")


def _null(kind: Type) -> Any:
    return {"quantity": "0", "bytes": "", "bool": False, "int32": 0, "int64": 0, "float64": 0}.get(kind.kind)


def _scalar(kind: Type, item: Any) -> Any:
    """The canonical form of a scalar. Raises Mismatch."""
    match kind.kind:
        case "string":
            if type(item) is str:
                return item
        case "bool":
            if type(item) is bool:
                return item
        case "int32" | "int64":
            return _integer(kind, item)
        case "float64":
            if type(item) in (int, float):
                return item
        case "quantity":
            return _quantity(item)
        case "intorstring":
            if type(item) is str:
                return item
            if type(item) is int and -(2**31) <= item < 2**31:
                return item
            raise Mismatch("", "", plain=f"json: cannot unmarshal {_found(item)} into Go value of type int32")
        case "time" | "microtime":
            if type(item) is not str:
                raise Mismatch("", "", plain=f"json: cannot unmarshal {_found(item)} into Go value of type string")
            return _time(item, kind.kind == "microtime")
        case "bytes":
            if type(item) is str:
                return _bytes(item)
    raise Mismatch(_found(item), kind.go)


def _integer(kind: Type, item: Any) -> int:
    if type(item) is int:
        limit = _LIMITS[kind.kind]
        if -limit <= item < limit:
            return item
        raise Mismatch(f"number {item}", kind.go)
    if type(item) is float:
        if item.is_integer() and abs(item) < _LIMITS[kind.kind]:
            return int(item)
        raise Mismatch(f"number {item}", kind.go)
    raise Mismatch(_found(item), kind.go)


def _quantity(item: Any) -> str:
    if type(item) not in (str, int, float):
        raise Mismatch("", "", plain="quantities must match the regular expression "
                        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")  # fmt: skip
    try:
        return canonical(str(item))
    except QuantityError as error:
        raise Mismatch("", "", plain=str(error)) from None


def _bytes(text: str) -> str:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        clean = text.replace("\r", "").replace("\n", "")
        try:
            binascii.a2b_base64(clean, strict_mode=True)
        except (binascii.Error, ValueError):
            match = _BASE64.match(text)
            assert match is not None
            position = match.end()
            if position == len(text):
                position = len(text) // 4 * 4
            raise Mismatch("", "", plain=f"illegal base64 data at input byte {position}") from None
        return clean
    return text


@lru_cache(1024)
def _time(text: str, micro: bool) -> str:
    if (_MICRO_TIME if micro else _TIME).fullmatch(text):
        moment = None
        try:
            datetime.fromisoformat(text[:19])
        except ValueError:
            raise _time_error(text, micro) from None
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _time_error(text, micro) from None
    if moment.tzinfo is None or "T" not in text:
        raise _time_error(text, micro)
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond:06d}Z" if micro else "Z")


def _time_error(text: str, micro: bool) -> Mismatch:
    layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
    return Mismatch("", "", plain=f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"')
