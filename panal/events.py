"""Events about objects, folded when they repeat (`correlate` says how).

Recording never blocks and never raises: an event is lost rather than a pod.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import tasks
from .client import Client, Unreachable
from .correlate import Correlator, Create, Patch
from .errors import NotFound, StatusError
from .resources import EVENTS

_log = logging.getLogger(__name__)
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


def micro_rfc3339(now: datetime.datetime) -> str:
    """As metav1.MicroTime prints it."""
    return now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class _Said:
    target: dict[str, Any]
    kind: str
    reason: str
    message: str
    action: str


class Recorder:
    """Writes events as `component` on `host`; with `series`, events of the newer kind (events.k8s.io), which repeat as
    a series, as kube-scheduler's do.
    """

    def __init__(self, client: Client, component: str, host: str = "", *, series: bool = False) -> None:
        self._client = client
        self._host = host
        self._component = component
        self._series = series
        self._queue: asyncio.Queue[_Said] = asyncio.Queue(_QUEUED)
        self._correlator = Correlator()
        self._task: asyncio.Task[None] | None = None

    def event(
        self, obj: Mapping[str, Any], kind: str, reason: str, message: str, *, field_path: str = "", action: str = ""
    ) -> None:
        """Record that `reason` happened to `obj`; `kind` is Normal or Warning.

        `field_path` names a part of it, as spec.containers{web}; `action` is what was being done (of a series).
        """
        target = reference(obj)
        if field_path:
            target["fieldPath"] = field_path
        try:
            self._queue.put_nowait(_Said(target, kind, reason, message[:1024], action))
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
            said = await self._queue.get()
            change = self._change(said)
            for delay in (0.1, 0.5, 2.0, None):
                if change is None:
                    break
                try:
                    await self._send(change)
                    break
                except NotFound:
                    if isinstance(change, Create):
                        break
                    self._correlator.lost(change.key)  # the event has expired meanwhile: it is told anew
                    change = self._change(said)
                except (Unreachable, StatusError) as error:
                    if delay is None or (isinstance(error, StatusError) and error.code < 500):
                        _log.debug("event dropped: %s", error)
                        self._correlator.lost(change.key)
                        break
                    await asyncio.sleep(delay)

    async def _send(self, change: Create | Patch) -> None:
        match change:
            case Create(event, _):
                await self._client.create(EVENTS, event, event["metadata"]["namespace"])
            case Patch(name, namespace, patch, _):
                await self._client.patch(EVENTS, name, patch, namespace)

    def _change(self, said: _Said) -> Create | Patch | None:
        now, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
        target = said.target
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{target.get('name', 'unknown')}.{time.time_ns():x}",
                "namespace": target.get("namespace") or "default",
            },
            "involvedObject": target,
            "reason": said.reason,
            "message": said.message,
            "type": said.kind,
            "reportingComponent": self._component,
        }
        if self._series:
            instance = f"{self._component}-{self._host}" if self._host else self._component
            more = {"reportingInstance": instance, "action": said.action or said.reason}
            event |= {**more, "source": {}, "eventTime": micro_rfc3339(now), "firstTimestamp": None}
            return self._correlator.series({**event, "lastTimestamp": None}, clock)
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        event |= {"source": {"component": self._component, **({"host": self._host} if self._host else {})}}
        event |= {"firstTimestamp": stamp, "lastTimestamp": stamp, "count": 1, "eventTime": None}
        return self._correlator.core({**event, "reportingInstance": self._host}, clock)
