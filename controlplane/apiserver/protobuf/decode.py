"""Messages to JSON objects: unknown fields are skipped, zero values left out where they mean nothing, depth bounded."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from typing import Any

import orjson

from . import moments, wire
from .table import Field, Message
from .wire import BYTES, FIXED64, VARINT, Malformed

DEPTH = 150
"""Messages one inside the other at most."""

VALUES = 400_000
"""Messages, items and entries of one body at most: an empty one takes two bytes there and far more as an object."""


class Decoder:
    """Decodes one body. `nested` reads an enveloped object inside of it."""

    def __init__(self, data: bytes, nested: Callable[[bytes], Any]) -> None:
        self._data = data
        self._nested = nested
        self._left = VALUES

    def message(self, plan: Message, start: int, end: int, depth: int = 0) -> Any:
        """The JSON value of a message. Raises Malformed."""
        self._count(depth)
        if plan.special:
            return self._special(plan, start, end, depth)
        obj: dict[str, Any] = {}
        for number, kind, first, last in wire.fields(self._data, start, end, plan.name):
            field = plan.by_number.get(number)
            if field is None:
                continue
            if kind != field.scalar and not (field.label == "repeated" and kind == BYTES and field.scalar == VARINT):
                raise Malformed(f"proto: wrong wireType = {kind} for field {field.json[:1].upper()}{field.json[1:]}")
            self._take(obj, field, kind, first, last, depth)
        return obj

    def _count(self, depth: int) -> None:
        self._left -= 1
        if depth > DEPTH:
            raise Malformed("exceeded max depth")
        if self._left < 0:
            raise Malformed("too many values")

    def _take(self, obj: dict[str, Any], field: Field, kind: int, first: int, last: int, depth: int) -> None:
        if field.label == "map":
            key, value = self._entry(field, first, last, depth + 1)
            obj.setdefault(field.json, {})[key] = value
        elif field.label == "repeated":
            items = obj.setdefault(field.json, [])
            if kind == BYTES and field.scalar == VARINT:
                self._packed(items, field, first, last)
            else:
                self._count(depth)
                items.append(self._value(field, first, last, depth))
        elif field.inline:
            assert field.message is not None
            obj.update(self.message(field.message, first, last, depth + 1))
        else:
            value = self._value(field, first, last, depth)
            if value is None or (field.message is None and not field.keep_zero and not value):
                obj.pop(field.json, None)
            elif isinstance(value, dict) and isinstance(before := obj.get(field.json), dict):
                before.update(value)
            else:
                obj[field.json] = value

    def _packed(self, items: list[Any], field: Field, at: int, end: int) -> None:
        while at < end:
            self._count(0)
            value, at = wire.read_varint(self._data, at, end)
            items.append(_number(field, value))

    def _entry(self, field: Field, start: int, end: int, depth: int) -> tuple[str, Any]:
        self._count(depth)
        key, value = "", None
        for number, kind, first, last in wire.fields(self._data, start, end, field.json):
            if number > 2:
                continue
            if kind != BYTES:
                raise Malformed(f"proto: wrong wireType = {kind} for field {field.json}")
            if number == 1:
                key = self._text(first, last)
            else:
                value = self._value(field, first, last, depth)
        if value is None and field.message is None:
            value = ""
        elif value is None:
            value = self._value(field, 0, 0, depth)
        return key, value

    def _value(self, field: Field, first: int, last: int, depth: int) -> Any:
        if field.message is not None:
            return self.message(field.message, first, last, depth + 1)
        if field.scalar == VARINT:
            return _number(field, first)
        if field.scalar == FIXED64:
            value: float = struct.unpack_from("<d", self._data, first)[0]
            if value != value or value in (float("inf"), float("-inf")):
                raise Malformed(f"json: unsupported value: {value}")
            return int(value) if value.is_integer() and abs(value) < 1 << 53 else value
        if field.type == "bytes":
            return binascii.b2a_base64(self._data[first:last], newline=False).decode()
        return self._text(first, last)

    def _text(self, first: int, last: int) -> str:
        """Text that is not UTF-8 is replaced, as Go's JSON encoder would."""
        return self._data[first:last].decode("utf-8", "replace")

    def _special(self, plan: Message, start: int, end: int, depth: int) -> Any:
        found: dict[int, Any] = {}
        lists: dict[int, list[tuple[int, int]]] = {}
        for number, kind, first, last in wire.fields(self._data, start, end, plan.name):
            known = plan.by_number.get(number)
            if known is None:
                continue
            if kind != known.scalar:
                raise Malformed(f"proto: wrong wireType = {kind} for field {known.json}")
            if kind == BYTES:
                lists.setdefault(number, []).append((first, last))
            else:
                found[number] = _number(known, first)
        texts = {number: spans[-1] for number, spans in lists.items()}
        match plan.special:
            case "Time" | "MicroTime":
                return self._time(plan.special == "MicroTime", found) if found else None
            case "Duration":
                return moments.format_duration(found.get(1, 0))
            case "Quantity":
                return self._text(*texts.get(1, (0, 0))) or "0"
            case "IntOrString":
                return self._text(*texts.get(3, (0, 0))) if found.get(1) else found.get(2, 0)
            case "Verbs" | "ExtraValue":
                return [self._text(*span) for span in lists.get(1, ())]
            case "RawExtension" | "FieldsV1" | "JSON":
                return self._raw(*texts.get(1, (0, 0)))
        return self._schema(plan, found, lists, depth)

    def _time(self, micro: bool, found: dict[int, int]) -> str:
        try:
            return moments.format_time(found.get(1, 0), found.get(2, 0), micro=micro)
        except (ValueError, OverflowError) as error:
            raise Malformed(f"Time.MarshalJSON: {error}") from None

    def _raw(self, first: int, last: int) -> Any:
        raw = self._data[first:last]
        if not raw:
            return None
        if raw.startswith(b"k8s\x00"):
            return self._nested(raw)
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise Malformed("json: error calling MarshalJSON for type runtime.RawExtension: invalid JSON") from None

    def _schema(self, plan: Message, found: dict[int, Any], lists: dict[int, list[tuple[int, int]]], depth: int) -> Any:
        """A JSON schema, or what may stand in its place: a list of them, a boolean, a list of names."""
        one, many = (2, 0) if plan.special == "JSONSchemaPropsOrBool" else (1, 2)
        if one in lists:
            return self._value(plan.by_number[one], *lists[one][-1], depth)
        if not many:
            return bool(found.get(1))
        return [self._value(plan.by_number[many], *span, depth) for span in lists.get(many, ())]


def _number(field: Field, value: int) -> int | bool:
    if field.type == "bool":
        return value != 0
    bits = 32 if field.type == "int32" else 64
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
