"""JSON objects to messages. What is in the object is written, in the order of the numbers; what is unknown is not."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from typing import Any

import orjson

from . import moments
from .table import Field, Message, table
from .wire import FIXED64, VARINT, varint


class Unencodable(Exception):
    """The object does not have the form of its kind."""


def message(plan: Message, obj: Any) -> bytes:
    """The bytes of one message. Raises Unencodable."""
    try:
        return _message(plan, obj)
    except (TypeError, ValueError, AttributeError, OverflowError, KeyError, RecursionError, struct.error) as error:
        raise Unencodable(f"{plan.name}: {type(error).__name__}") from error


def _message(plan: Message, obj: Any) -> bytes:
    if plan.special:
        return _SPECIAL[plan.special](obj)
    out: list[bytes] = []
    for field in plan.fields:
        if field.inline:
            assert field.message is not None
            _delimited(out, field.tag, _message(field.message, obj))
            continue
        value = obj.get(field.json)
        if value is not None:
            _field(out, field, value)
    return b"".join(out)


def _field(out: list[bytes], field: Field, value: Any) -> None:
    if field.label == "map":
        for key in sorted(value):
            entry: list[bytes] = []
            _delimited(entry, b"\x0a", key.encode())
            _delimited(entry, b"\x12", _bytes(field, value[key]))
            _delimited(out, field.tag, b"".join(entry))
        return
    for item in value if field.label == "repeated" else (value,):
        if field.scalar == VARINT:
            out.append(field.tag)
            out.append(varint(int(item)))
        elif field.scalar == FIXED64:
            out.append(field.tag)
            out.append(struct.pack("<d", item))
        else:
            _delimited(out, field.tag, _bytes(field, item))


def _bytes(field: Field, value: Any) -> bytes:
    if field.message is not None:
        return b"" if value is None else _message(field.message, value)
    if value is None:
        return b""
    text: bytes = value.encode()
    return binascii.a2b_base64(text) if field.type == "bytes" else text


def _delimited(out: list[bytes], tag: bytes, content: bytes) -> None:
    out.append(tag)
    out.append(varint(len(content)))
    out.append(content)


def _text(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def _time(value: str) -> bytes:
    seconds, nanos = moments.parse_time(value)
    return b"\x08" + varint(seconds) + b"\x10" + varint(nanos)


def _seconds(value: str) -> bytes:
    return b"\x08" + varint(moments.parse_time(value)[0]) + b"\x10\x00"


def _int_or_string(value: Any) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + _text(b"\x1a", value.encode())
    return b"\x08\x00\x10" + varint(int(value)) + b"\x1a\x00"


def _raw(value: Any) -> bytes:
    return _text(b"\x0a", orjson.dumps(value))


def _items(value: list[str]) -> bytes:
    return b"".join(_text(b"\x0a", item.encode()) for item in value)


def _schema(number: bytes, value: Any) -> bytes:
    return _text(number, _message(_schema_message(), value))


def _schema_message() -> Message:
    return table().message("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")


def _or_array(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(_schema(b"\x12", item) for item in value)
    return _schema(b"\x0a", value)


def _or_bool(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x08\x01" if value else b"\x08\x00"
    return b"\x08\x01" + _schema(b"\x12", value)


def _or_strings(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(_text(b"\x12", item.encode()) for item in value)
    return _schema(b"\x0a", value)


_SPECIAL: dict[str, Callable[[Any], bytes]] = {
    "Time": _seconds,
    "MicroTime": _time,
    "Duration": lambda value: b"\x08" + varint(moments.parse_duration(value)),
    "Quantity": lambda value: _text(b"\x0a", str(value).encode()),
    "IntOrString": _int_or_string,
    "RawExtension": _raw,
    "FieldsV1": _raw,
    "JSON": _raw,
    "Verbs": _items,
    "ExtraValue": _items,
    "JSONSchemaPropsOrArray": _or_array,
    "JSONSchemaPropsOrBool": _or_bool,
    "JSONSchemaPropsOrStringArray": _or_strings,
}
