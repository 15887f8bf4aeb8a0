"""The envelope: four bytes, then a runtime.Unknown that names the kind and holds the object's message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import wire
from .decode import Decoder
from .encode import message
from .table import table
from .wire import BYTES, Malformed, varint

MEDIA = "application/vnd.kubernetes.protobuf"
STREAM = f"{MEDIA};stream=watch"
PREFIX = b"k8s\x00"
_NESTING = 3
"""Envelopes one inside the other at most."""


class NoKind(Malformed):
    """The envelope holds a kind that has no message. `kind`, `api_version` say which."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f'no kind "{kind}" is registered for version "{api_version}" in scheme')
        self.api_version, self.kind = api_version, kind


def known(api_version: str, kind: str) -> bool:
    """Whether a kind has a protobuf form."""
    return table().has(api_version, kind)


def encode(obj: Mapping[str, Any]) -> bytes:
    """An object in its envelope. Raises NoKind, Unencodable."""
    api_version, kind = obj.get("apiVersion", ""), obj["kind"]  # /api tells no version
    plan = table().find(api_version, kind)
    if plan is None:
        raise NoKind(api_version, kind)
    names = _delimited(b"\x0a", api_version.encode()) + _delimited(b"\x12", kind.encode())
    raw = message(plan, obj)
    return b"".join((PREFIX, _delimited(b"\x0a", names), b"\x12", varint(len(raw)), raw, b"\x1a\x00\x22\x00"))


def watch_event(kind: str, obj: Mapping[str, Any]) -> bytes:
    """A watch event as a frame: its length in four bytes, big-endian, and a WatchEvent around the enveloped object."""
    raw = encode(obj)
    event = _delimited(b"\x0a", kind.encode()) + _delimited(b"\x12", b"\x0a" + varint(len(raw)) + raw)
    return len(event).to_bytes(4, "big") + event


def decode(body: bytes, api_version: str = "", kind: str = "", _depth: int = 0) -> dict[str, Any]:
    """The object in an envelope; what it does not say of itself is taken from the arguments. Raises Malformed.

    What is wrong inside of the object is raised with its `kind` and `api_version` as attributes of the exception.
    """
    if not body:
        raise Malformed("empty data")
    if not body.startswith(PREFIX):
        raise Malformed("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    if _depth > _NESTING:
        raise Malformed("exceeded max depth")
    named_version, named_kind, start, end = _unknown(body)
    api_version, kind = named_version or api_version, named_kind or kind
    plan = table().find(api_version, kind)
    if plan is None:
        raise NoKind(api_version, kind)
    nested = Decoder(body, lambda raw: decode(raw, _depth=_depth + 1))
    obj = nested.message(plan, start, end)
    return {"kind": kind, "apiVersion": api_version, **obj}


def named(body: bytes) -> tuple[str, str]:
    """apiVersion and kind that an envelope names, "" where it cannot be read."""
    try:
        return _unknown(body)[:2] if body.startswith(PREFIX) else ("", "")
    except Malformed:
        return "", ""


def _unknown(body: bytes) -> tuple[str, str, int, int]:
    """apiVersion, kind, and where the object's message starts and ends."""
    api_version = kind = ""
    start = end = 0
    for number, wire_type, first, last in wire.fields(body, len(PREFIX), len(body), "Unknown"):
        if number > 4:
            continue
        if wire_type != BYTES:
            raise Malformed(f"proto: wrong wireType = {wire_type} for field {_FIELDS[number]}")
        if number == 1:
            for inner, inner_type, begin, until in wire.fields(body, first, last, "TypeMeta"):
                if inner > 2:
                    continue
                if inner_type != BYTES:
                    raise Malformed(f"proto: wrong wireType = {inner_type} for field {_NAMES[inner]}")
                text = body[begin:until].decode("utf-8", "replace")
                api_version, kind = (text, kind) if inner == 1 else (api_version, text)
        elif number == 2:
            start, end = first, last
    return api_version, kind, start, end


_FIELDS = ("", "TypeMeta", "Raw", "ContentEncoding", "ContentType")
_NAMES = ("", "APIVersion", "Kind")


def _delimited(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content
