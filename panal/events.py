"""Events (core/v1) about objects, folded when they repeat: the second of the same adds to `count`.

Recording never blocks and never raises: an event is lost rather than a pod.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from . import tasks
from .client import Client, Unreachable
from .errors import NotFound, StatusError
from .resources import EVENTS

_log = logging.getLogger(__name__)
_REMEMBERED = 1024
"""Events whose repetition is recognised; the oldest is forgotten first."""
_QUEUED = 1000
"""Events that wait to be written; more are dropped."""


def reference(obj: Mapping[str, Any]) -> dict[str, Any]:
    """An ObjectReference to the object (which has apiVersion and kind)."""
    meta = obj["metadata"]
    fields = {
        "kind": obj.get("kind"),
        "namespace": meta.get("namespace"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "apiVersion": obj.get("apiVersion"),
        "resourceVersion": meta.get("resourceVersion"),
    }
    return {name: value for name, value in fields.items() if value}


def now_rfc3339() -> str:
    """Now as metav1.Time prints it: whole seconds, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Recorder:
    """Writes events as `component` on `host`."""

    def __init__(self, client: Client, component: str, host: str = "") -> None:
        self._client = client
        self._source = {"component": component, **({"host": host} if host else {})}
        self._component = component
        self._queue: asyncio.Queue[tuple[dict[str, Any], str, str, str]] = asyncio.Queue(_QUEUED)
        self._seen: OrderedDict[tuple[str, ...], dict[str, Any]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def event(self, obj: Mapping[str, Any], kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Record that `reason` happened to `obj`; `kind` is Normal or Warning.

        `field_path` names a part of it, as spec.containers{web}.
        """
        target = reference(obj)
        if field_path:
            target["fieldPath"] = field_path
        try:
            self._queue.put_nowait((target, kind, reason, message[:1024]))
        except asyncio.QueueFull:
            return
        if self._task is None:
            self._task = tasks.spawn(self._write(), name=f"{self._component}-events")

    async def close(self) -> None:
        if self._task is not None:
            await tasks.cancel(self._task)
            self._task = None

    async def _write(self) -> None:
        while True:
            entry = await self._queue.get()
            for delay in (0.1, 0.5, 2.0, None):
                try:
                    await self._record(*entry)
                    break
                except (Unreachable, StatusError) as error:
                    if delay is None or (isinstance(error, StatusError) and error.code < 500):
                        _log.debug("event dropped: %s", error)
                        break
                    await asyncio.sleep(delay)

    async def _record(self, target: dict[str, Any], kind: str, reason: str, message: str) -> None:
        identity = (target.get("uid") or target.get("name", ""), target.get("fieldPath", ""), kind, reason, message)
        namespace = target.get("namespace") or "default"
        now = now_rfc3339()
        if (known := self._seen.get(identity)) is not None:
            try:
                patch = {"count": known["count"] + 1, "lastTimestamp": now}
                await self._client.patch(EVENTS, known["name"], patch, namespace)
                known["count"] += 1
                return
            except NotFound:
                del self._seen[identity]
        name = f"{target.get('name', 'unknown')}.{secrets.token_hex(8)}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": target,
            "reason": reason,
            "message": message,
            "source": self._source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._source.get("host", ""),
        }
        await self._client.create(EVENTS, event, namespace)
        self._seen[identity] = {"name": name, "count": 1}
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
