"""OpenAPI 2.0 as protobuf, the only form in which kubectl before 1.29 reads it.

Field numbers are those of the openapi.v2 messages; values of any kind stand there as YAML text, of which JSON is part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from .wire import varint

MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ACCEPTED = (MEDIA, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")

Write = Callable[[Any], bytes]
Message = Mapping[str, tuple[int, Write]]


def accepted(header: str) -> bool:
    """Whether a client asks for this form first."""
    return header.partition(",")[0].partition(";")[0].strip() in _ACCEPTED


def encode(document: Mapping[str, Any]) -> bytes:
    """A Swagger document as its message, without length."""
    return _fields(_DOCUMENT, document, 16)


def _fields(message: Message, value: Mapping[str, Any], extensions: int) -> bytes:
    """Every known key; those that begin with x- are vendor extensions."""
    out: list[bytes] = []
    for key, item in value.items():
        if key.startswith("x-"):
            out.append(_delimited(extensions, _named(key, _any(item))))
        elif (known := message.get(key)) is not None:
            number, write = known
            many = isinstance(item, list) and write not in _WHOLE
            out += [_value(number, write, each) for each in (item if many else (item,))]
    return b"".join(out)


def _value(number: int, write: Write, item: Any) -> bytes:
    if write is _boolean:
        return varint(number << 3) + (b"\x01" if item else b"\x00")
    return _delimited(number, write(item))


def _delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def _text(value: str) -> bytes:
    return value.encode()


def _boolean(value: Any) -> bytes:
    raise AssertionError("booleans are varints")


def _any(value: Any) -> bytes:
    return _delimited(2, orjson.dumps(value))


def _named(name: str, content: bytes) -> bytes:
    return _delimited(1, name.encode()) + _delimited(2, content)


def _map(number: int, write: Write) -> Write:
    return lambda value: b"".join(_delimited(number, _named(name, write(item))) for name, item in value.items())


def _schema(value: Mapping[str, Any]) -> bytes:
    return _fields(_SCHEMA, value, 31)


def _types(value: Any) -> bytes:
    return b"".join(_delimited(1, each.encode()) for each in (value if isinstance(value, list) else (value,)))


def _items(value: Any) -> bytes:
    return _delimited(1, _schema(value))


def _additional(value: Any) -> bytes:
    return _value(2, _boolean, value) if isinstance(value, bool) else _delimited(1, _schema(value))


def _parameter(value: Mapping[str, Any]) -> bytes:
    """ParametersItem of a Parameter, of the message that its place asks for."""
    if value["in"] == "body":
        return _delimited(1, _delimited(1, _fields(_BODY, value, 6)))
    number, message, extensions = _PLACES[value["in"]]
    return _delimited(1, _delimited(2, _delimited(number, _fields(message, value, extensions))))


def _response(value: Mapping[str, Any]) -> bytes:
    return _delimited(1, _fields(_RESPONSE, value, 5))


def _operation(value: Mapping[str, Any]) -> bytes:
    return _fields(_OPERATION, value, 13)


_SCHEMA: Message = {
    "$ref": (1, _text), "format": (2, _text), "title": (3, _text), "description": (4, _text), "default": (5, _any),
    "pattern": (13, _text), "uniqueItems": (16, _boolean), "required": (19, _text), "enum": (20, _any),
    "additionalProperties": (21, _additional), "type": (22, _types), "items": (23, _items), "allOf": (24, _schema),
    "properties": (25, _map(1, _schema)), "readOnly": (27, _boolean),
}  # fmt: skip
_BODY: Message = {
    "description": (1, _text), "name": (2, _text), "in": (3, _text), "required": (4, _boolean), "schema": (5, _schema),
}  # fmt: skip
_QUERY: Message = {
    "required": (1, _boolean), "in": (2, _text), "description": (3, _text), "name": (4, _text), "type": (6, _text),
    "format": (7, _text), "uniqueItems": (20, _boolean),
}  # fmt: skip
_PATH: Message = {
    "required": (1, _boolean), "in": (2, _text), "description": (3, _text), "name": (4, _text), "type": (5, _text),
    "format": (6, _text), "uniqueItems": (19, _boolean),
}  # fmt: skip
_PLACES: Mapping[str, tuple[int, Message, int]] = {"query": (3, _QUERY, 23), "path": (4, _PATH, 22)}
_RESPONSE: Message = {"description": (1, _text), "schema": (2, lambda value: _delimited(1, _schema(value)))}
_OPERATION: Message = {
    "tags": (1, _text), "summary": (2, _text), "description": (3, _text), "operationId": (5, _text),
    "produces": (6, _text), "consumes": (7, _text), "parameters": (8, _parameter), "responses": (9, _map(1, _response)),
    "schemes": (10, _text), "deprecated": (11, _boolean),
}  # fmt: skip
_ITEM: Message = {
    "get": (2, _operation), "put": (3, _operation), "post": (4, _operation), "delete": (5, _operation),
    "options": (6, _operation), "head": (7, _operation), "patch": (8, _operation), "parameters": (9, _parameter),
}  # fmt: skip
_INFO: Message = {"title": (1, _text), "version": (2, _text), "description": (3, _text)}
_DOCUMENT: Message = {
    "swagger": (1, _text),
    "info": (2, lambda value: _fields(_INFO, value, 7)),
    "paths": (8, _map(2, lambda value: _fields(_ITEM, value, 10))),
    "definitions": (9, _map(1, _schema)),
}
_WHOLE: tuple[Write, ...] = (_types,)
"""What takes a list as one value; every other list is a repeated field (a default that is a list is none here)."""
