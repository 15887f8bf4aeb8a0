"""The verbs on resources: get, list, watch, create, update, patch, delete, deletecollection.

Each handler takes a `Call` and returns an `Answer`, or a stream for a watch. Subresources are in subresources.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from panal.errors import BadRequest, MethodNotSupported, NotFound
from panal.resources import Resource
from panal.selectors import parse_fields

from . import bodies, encoding, forms, patching, requestoptions, watching
from .answers import Answer
from .cache import Item
from .clock import timestamp
from .context import Call, Parts
from .custom.resource import CustomResource
from .decode import STRICT, cannot, decode
from .deletion import DeleteOptions
from .feeds import Convert
from .listoptions import for_watch, too_large
from .negotiation import JSON, PROTOBUF
from .reading import selection
from .registry import Object, Written
from .repeated import repeated, strict
from .revisions import parse_revision
from .strategy import Strategy, strategy_for

Handler = Callable[[Parts, Call], Awaitable["Answer | web.StreamResponse"]]

_WATCH_SECONDS = 1800
"""A watch without timeoutSeconds ends after this long to twice as long, as Kubernetes' min-request-timeout says."""

_RETURNS_DELETED = frozenset(
    ("pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates",
     "resourcequotas", "nodes/none")
)  # fmt: skip
"""Core resources whose deletion answers with the object rather than a Status."""


async def get(parts: Parts, call: Call) -> Answer:
    revision = parse_revision(call.query.get("resourceVersion"))
    if isinstance(call.resource, CustomResource):
        await parts.reader.settle_one(call.resource, call.namespace, call.target.name)
    item = parts.reader.get(call.resource, call.namespace, call.target.name, revision)
    return Answer(one(call, item.body))


def one(call: Call, body: bytes) -> bytes:
    """One object in the form asked for."""
    if not call.form.kind:
        return body
    return forms.one(call.resource, body, call.form, call.timestamp, call.query.get("includeObject"))


async def list_(parts: Parts, call: Call) -> Answer:
    chosen = selection(call.target, call.query, _fields(call))
    listed = await parts.reader.list(call.resource, chosen, call.query)
    return Answer(forms.many(call.resource, listed, call.form, call.timestamp, call.query.get("includeObject")))


def _fields(call: Call) -> Callable[[dict[str, Any]], dict[str, str]]:
    strategy = strategy_for(call.resource)
    _check_fields(strategy, call.query.get("fieldSelector"))
    return strategy.selectable_fields


def _check_fields(strategy: Strategy, text: str) -> None:
    if not text:
        return
    known = strategy.selectable_names()
    for name in parse_fields(text).fields:
        if name not in known:
            raise BadRequest(strategy.unknown_field(name))


async def watch(parts: Parts, call: Call) -> web.StreamResponse:
    chosen = selection(call.target, call.query, _fields(call))
    query = call.query
    options = for_watch(query)
    revision = options.revision
    initial = query.flag("sendInitialEvents")
    if revision > parts.cache.revision and initial:
        raise too_large(revision, parts.cache.revision)
    form, render = call.form, None
    frame, content_type = forms.framing(form)
    mark = frame
    if form.kind or frame is not encoding.event:
        now = lambda: timestamp(parts.now())  # noqa: E731
        shown = forms.Events(call.resource, form, now, query.get("includeObject"), frame)
        render, mark = shown.render, shown.bookmark
    kind, api_version = call.resource.kind, call.resource.api_version
    if form.kind == "PartialObjectMetadata":
        kind, api_version = form.kind, f"meta.k8s.io/{form.version}"
    shelf, strategy = parts.reader.shelf(call.resource), strategy_for(call.resource)
    everything = initial or (revision == 0 and "sendInitialEvents" not in query)
    since = None if everything else revision or parts.cache.revision
    seconds = query.integer("timeoutSeconds")
    described = watching.Watch(
        selection=chosen,
        since=since,
        bookmarks=query.flag("allowWatchBookmarks"),
        initial_events_end=initial and query.flag("allowWatchBookmarks"),
        timeout=float(seconds) if seconds else _WATCH_SECONDS * (1 + random.random()),
        render=render,
        bookmark=lambda at, end: watching.bookmark_line(kind, api_version, at, end, mark),
        frame=frame,
        present=strategy.present if strategy.converts else None,
        content_type=content_type,
        convert=_converting(parts, call.resource),
    )
    if described.convert is not None:
        await described.convert(lambda: watching.concerned(shelf, chosen.namespace, since))
    current = parts.reader.current(call.resource, chosen) if everything else []
    watchers = call.resource.watchers if isinstance(call.resource, CustomResource) else None
    return await watching.serve(call.http, described, shelf, current, lambda: parts.cache.revision, watchers)


def _converting(parts: Parts, resource: Resource) -> Convert | None:
    """How a watch sees that what it is to show is converted, where a webhook does that."""
    if isinstance(resource, CustomResource) and resource.webhook is not None:
        return lambda items: parts.reader.settle(resource, items)
    return None


async def create(parts: Parts, call: Call) -> Answer:
    if isinstance(call.resource, CustomResource) and call.resource.terminating:
        raise MethodNotSupported("create not allowed while custom resource definition is terminating", details={})
    requestoptions.check("create", call.query)
    obj, told = await _body(call)
    context = call.context(name="")
    written = await parts.registry.create(context, call.resource, obj, field_validation=call.field_validation)
    return _written(call, written, told)


async def _body(call: Call) -> tuple[Object, list[str]]:
    """The object sent, and what to warn of: fields that it says more than once."""
    raw, media = await bodies.read(call.http), bodies.media_type(call.http)
    if isinstance(call.resource, CustomResource) and "protobuf" in media:
        raise bodies.unsupported("application/json, application/yaml")
    obj = bodies.decode(raw, media, call.resource.kind, call.resource.api_version)
    told = [] if media == PROTOBUF else _repeated(call, raw, media, obj if media in ("", JSON) else None)
    if told and call.field_validation == "Strict":
        unknown = decode(call.resource, orjson.loads(orjson.dumps(obj)), "Warn")
        raise BadRequest(cannot(call.resource, STRICT + strict([*told, *unknown])))
    return obj, told


def _repeated(call: Call, raw: bytes, media: str, obj: Object | None = None) -> list[str]:
    return [] if call.field_validation == "Ignore" else repeated(raw, media, obj)


def _written(call: Call, written: Written, told: Sequence[str] = ()) -> Answer:
    warnings = (*told, *written.warnings)
    return Answer(one(call, written.body), 201 if written.created else 200, warnings=warnings)


async def update(parts: Parts, call: Call) -> Answer:
    requestoptions.check("update", call.query)
    obj, told = await _body(call)
    _check_name(call, obj)
    create_if_missing = None
    if strategy_for(call.resource).allow_create_on_update and not call.target.subresource:
        create_if_missing = lambda: obj  # noqa: E731
    written = await parts.registry.update(
        call.context(),
        call.resource,
        lambda old: orjson.loads(orjson.dumps(obj)),
        create=create_if_missing,
        field_validation=call.field_validation,
    )
    return _written(call, written, told)


def _check_name(call: Call, obj: Object) -> None:
    """A PUT's object says its name, that of the URL."""
    metadata = obj.get("metadata")
    found = metadata.get("name") if isinstance(metadata, dict) else None
    wanted = call.target.name
    if not found:
        raise BadRequest(f"the name of the object ({wanted} based on URL) was undeterminable: name must be provided")
    if found != wanted:
        raise BadRequest(f"the name of the object ({found}) does not match the name on the URL ({wanted})")


async def patch(parts: Parts, call: Call) -> Answer:
    media = bodies.media_type(call.http)
    if isinstance(call.resource, CustomResource) and media == patching.STRATEGIC:
        raise bodies.unsupported(", ".join((patching.JSON_PATCH, patching.MERGE, patching.APPLY)))
    if media != patching.APPLY:
        patching.supported(media)
    raw = await bodies.read(call.http)
    requestoptions.check("patch", call.query, apply=media == patching.APPLY)
    if media == patching.APPLY:
        return await _apply(parts, call, raw)
    change = patching.change(media, raw, call.resource)
    told = _repeated(call, raw, media)
    if told and call.field_validation == "Strict":
        raise patching.unfit(media, raw, {}, STRICT + strict(told))
    written = await parts.registry.update(
        call.context(),
        call.resource,
        change,
        field_validation=call.field_validation,
        unfit=lambda patched, error: patching.unfit(
            media, raw, patched, error.restoring if media == patching.STRATEGIC else error.why
        ),
    )
    return _written(call, written, told)


async def _apply(parts: Parts, call: Call, raw: bytes) -> Answer:
    applied = bodies.decode_yaml(raw, call.resource.kind)
    told = _repeated(call, raw, patching.APPLY)
    if told and call.field_validation == "Strict":
        raise BadRequest(f"error decoding YAML: {strict(told)}")
    change, new, warnings = patching.applying(call, applied)
    warnings = [*told, *warnings]
    written = await parts.registry.update(
        call.context(), call.resource, change, create=None if call.target.subresource else new, tracked=True
    )
    return _written(call, replace(written, warnings=(*warnings, *written.warnings)))


async def delete(parts: Parts, call: Call) -> Answer:
    options = await delete_options(call)
    written = await parts.registry.delete(call.context(dry_run=options.dry_run), call.resource, options)
    if not written.deleted or (not call.resource.group and call.resource.plural in _RETURNS_DELETED):
        return Answer(one(call, written.body))
    return Answer(_deleted(call, written))


def _deleted(call: Call, written: Written) -> bytes:
    resource = call.resource
    details = {
        "name": call.target.name,
        **({"group": resource.group} if resource.group else {}),
        "kind": resource.plural,
        "uid": orjson.loads(written.body)["metadata"].get("uid", ""),
    }
    return orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})


async def delete_options(call: Call) -> DeleteOptions:
    raw = await bodies.read(call.http)
    body = bodies.decode(raw, bodies.media_type(call.http), "DeleteOptions", "v1") if raw else None
    return DeleteOptions.read(body, call.query)


_TOGETHER = 32
"""Objects of a collection that are deleted at a time: their deletions are committed together."""


def _groups(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), _TOGETHER):
        yield items[start : start + _TOGETHER]


async def delete_collection(parts: Parts, call: Call) -> Answer:
    options = await delete_options(call)
    chosen = selection(call.target, call.query, _fields(call))
    context = call.context("", dry_run=options.dry_run)
    deleted: list[bytes] = []
    await parts.reader.settle_all(call.resource, chosen.namespace)
    found, limit = parts.reader.current(call.resource, chosen), call.query.integer("limit") or 0
    for group in _groups(found[:limit] if limit > 0 else found):
        wanted = [replace(context, name=item.name, namespace=item.namespace) for item in group]
        ends = await asyncio.gather(
            *(parts.registry.delete(each, call.resource, options) for each in wanted), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, Written):
                deleted.append(end.body)
            elif not isinstance(end, NotFound):
                raise end
    kind, head = f"{call.resource.kind}List", encoding.repeated_head(call.resource)
    body = encoding.a_list(kind, call.resource.api_version, parts.cache.revision, deleted, without=head)
    return Answer(body)


VERBS: dict[str, Handler] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
