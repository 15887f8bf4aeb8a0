"""Objects in the form the client asked for: as they are, as rows of a Table, or as metadata only."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from panal.errors import InternalError
from panal.resources import Resource

from . import encoding, tables
from .cache import Item
from .negotiation import JSON, PROTOBUF, Form
from .reading import Listed

Frame = Callable[[str, bytes], bytes]
"""A watch event around an encoded object."""


def one(resource: Resource, body: bytes, form: Form, now: str, include: str) -> bytes:
    """A single object's encoded form."""
    if form.kind == "Table":
        return orjson.dumps(_table(resource, [orjson.loads(body)], form, now, include))
    if form.kind == "PartialObjectMetadata":
        return orjson.dumps(_partial(orjson.loads(body), form))
    return body


def many(resource: Resource, listed: Listed, form: Form, now: str, include: str) -> bytes:
    """A list's encoded form."""
    if form.kind == "Table":
        made = _table(resource, [item.decode() for item in listed.items], form, now, include)
        made["metadata"] = _list_metadata(listed)
        return orjson.dumps(made)
    if form.kind == "PartialObjectMetadataList":
        items = (orjson.dumps(_partial(item.decode(), form)) for item in listed.items)
        version = f"meta.k8s.io/{form.version}"
        return encoding.a_list(form.kind, version, listed.revision, items, listed.token, listed.remaining)
    bodies, head = (item.body for item in listed.items), encoding.repeated_head(resource)
    kind = f"{resource.kind}List"
    return encoding.a_list(
        kind, resource.api_version, listed.revision, bodies, listed.token, listed.remaining, without=head
    )


class Events:
    """Watch events in a form other than the stored one. A Table's columns come with the first event only."""

    def __init__(self, resource: Resource, form: Form, now: Any, include: str, frame: Frame = encoding.event) -> None:
        self._resource = resource
        self._form = form
        self._now = now
        self._include = include
        self._frame = frame
        self._first = True

    def bookmark(self, kind: str, body: bytes) -> bytes:
        """A bookmark around an encoded object that has only metadata; in a Table it is a row without cells."""
        if self._form.kind != "Table":
            return self._frame(kind, body)
        obj = orjson.loads(body)
        made = {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{self._form.version}",
            "metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]},
            "columnDefinitions": None,
            "rows": [{"cells": [], "object": _partial(obj, self._form)}],
        }
        return self._frame(kind, orjson.dumps(made))

    def render(self, kind: str, item: Item) -> bytes:
        if self._form.kind == "Table":
            made = _table(self._resource, [item.decode()], self._form, self._now(), self._include)
            made["metadata"] = {"resourceVersion": str(item.revision)}
            if not self._first:
                made["columnDefinitions"] = None
            self._first = False
            return self._frame(kind, orjson.dumps(made))
        if self._form.kind == "PartialObjectMetadata":
            return self._frame(kind, orjson.dumps(_partial(item.decode(), self._form)))
        return self._frame(kind, item.body)


def framing(form: Form) -> tuple[Frame, str]:
    """How a form's watch events are framed, and the content type of their stream."""
    if form.media == PROTOBUF:
        return _frame_protobuf, f"{PROTOBUF};stream=watch"
    return encoding.event, JSON


@lru_cache(16)
def _frame_protobuf(kind: str, body: bytes) -> bytes:
    """One change goes to several watchers one after the other: the last few are kept."""
    from . import protobuf

    try:
        return protobuf.watch_event(kind, orjson.loads(body))
    except (protobuf.NoKind, protobuf.Unencodable) as error:
        status = InternalError(f"unable to encode watch object: {error}").status()
        return protobuf.watch_event("ERROR", status)


def _table(resource: Resource, objects: list[dict[str, Any]], form: Form, now: str, include: str) -> dict[str, Any]:
    made = tables.table(resource, objects, now=now, include=include or "Metadata")
    made = {**made, "kind": "Table", "apiVersion": f"meta.k8s.io/{form.version}"}
    if len(objects) == 1:
        made["metadata"] = {"resourceVersion": objects[0]["metadata"].get("resourceVersion", "")}
    return made


def _partial(obj: dict[str, Any], form: Form) -> dict[str, Any]:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": obj["metadata"],
    }


def _list_metadata(listed: Listed) -> dict[str, Any]:
    metadata: dict[str, Any] = {"resourceVersion": str(listed.revision)}
    if listed.token:
        metadata["continue"] = listed.token
        if listed.remaining is not None:
            metadata["remainingItemCount"] = listed.remaining
    return metadata
