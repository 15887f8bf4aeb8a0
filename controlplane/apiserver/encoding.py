"""Objects as bytes. An object is encoded once, when written; its revision, known only at the commit, is spliced in.

The store's bytes have no resourceVersion. With it they are the answer to a GET, an item of a LIST and, framed, an
event of every watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from panal.resources import Resource

from .custom.resource import CustomResource

_METADATA = b'"metadata":{'


def encode(obj: Mapping[str, Any]) -> bytes:
    """The object for the store: kind, apiVersion and metadata first, no resourceVersion. metadata must not be empty."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    rest = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata")}
    return orjson.dumps({"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata, **rest})


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two objects say the same, whatever the order they say it in and the revision they have."""
    return _unversioned(one) == _unversioned(other)


def _unversioned(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}}


def with_revision(stored: bytes, revision: int) -> bytes:
    """The stored object with its resourceVersion. kind and apiVersion come first, without quotes: find() is safe."""
    at = stored.find(_METADATA) + len(_METADATA)
    return b'%b"resourceVersion":"%d",%b' % (stored[:at], revision, stored[at:])


def event(kind: str, body: bytes) -> bytes:
    """A watch event as one line."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), body)


def repeated_head(resource: Resource) -> bytes:
    """What the items of a list leave out of each object: built-in kinds' items do not repeat the list's kind."""
    if isinstance(resource, CustomResource):
        return b""
    return b'{"kind":"%b","apiVersion":"%b",' % (resource.kind.encode(), resource.api_version.encode())


def a_list(
    kind: str,
    api_version: str,
    revision: int,
    bodies: Iterable[bytes],
    token: str = "",
    remaining: int | None = None,
    *,
    without: bytes = b"",
) -> bytes:
    """A List object around encoded items, from whose beginnings `without` is left out. Each is copied once."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if token:
        metadata["continue"] = token
        if remaining is not None:
            metadata["remainingItemCount"] = remaining
    head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    if not without:
        return b'%b,"items":[%b]}' % (head[:-1], b",".join(bodies))
    size = len(without)
    rests = [memoryview(body)[size if body.startswith(without) else 1 :] for body in bodies]
    return b'%b,"items":[%b%b]}' % (head[:-1], b"{" if rests else b"", b",{".join(rests))
