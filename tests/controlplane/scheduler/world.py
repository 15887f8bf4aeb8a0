"""A scheduler on virtual time, with a binder that can fail; informers are fed by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from panal.controlplane.scheduler.configuration import Configuration
from panal.controlplane.scheduler.scheduler import Scheduler
from panal.controlplane.scheduler.snapshot import PodInfo
from panal.errors import InternalError, StatusError
from panal.informer import Applied, Deleted

Object = dict[str, Any]


class Binder:
    """Remembers; fails as often as told."""

    def __init__(self) -> None:
        self.bound: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.evicted: list[tuple[str, str]] = []
        self.failures = 0
        self.failing: list[StatusError] = []
        """What the next evictions end in."""

    async def bind(self, pod: PodInfo, node: str) -> None:
        if self.failures:
            self.failures -= 1
            raise InternalError("no")
        self.bound.append((pod.name, node))

    async def say_unschedulable(self, pod: PodInfo, reason: str, text: str, promised: str | None) -> None:
        self.said.append(text)

    async def evict(self, victim: PodInfo, preemptor: PodInfo) -> None:
        if self.failing:
            raise self.failing.pop(0)
        self.evicted.append((victim.name, preemptor.name))


class Events:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def event(self, obj: Object, kind: str, reason: str, message: str, *, action: str = "") -> None:
        self.told.append((reason, message))


class World:
    """A scheduler whose informers never ask anybody."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        self.binder, self.events = Binder(), Events()
        nobody: Any = None
        recorder: Any = self._recorder
        self.scheduler = Scheduler(
            nobody, recorder, binder=self.binder, chance=random.Random(1), configuration=configuration
        )

    def _recorder(self, name: str) -> Events:
        return self.events

    def node(self, name: str, cpu: str = "4", memory: str = "8Gi", labels: Object | None = None, **spec: Any) -> None:
        status = {"allocatable": {"cpu": cpu, "memory": memory, "pods": "10"}}
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}
        self._show(self.scheduler.nodes, {"metadata": meta, "spec": spec, "status": status})

    def pod(
        self,
        name: str,
        cpu: str = "1",
        node: str = "",
        phase: str = "Pending",
        memory: str = "",
        labels: Object | None = None,
        ports: Any = (),
        **spec: Any,
    ) -> None:
        requests = {"cpu": cpu, **({"memory": memory} if memory else {})}
        containers = [{"resources": {"requests": requests}, "ports": list(ports)}]
        found = {"containers": containers, **spec, **({"nodeName": node} if node else {})}
        meta = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
        self._show(self.scheduler.pods, {"metadata": meta, "spec": found, "status": {"phase": phase}})

    def promised(self, name: str, node: str, **spec: Any) -> None:
        """A pod for which room is being made on the node."""
        found = {"containers": [{"resources": {"requests": {"cpu": "1"}}}], **spec}
        meta = {"name": name, "namespace": "default", "uid": name}
        status = {"phase": "Pending", "nominatedNodeName": node}
        self._show(self.scheduler.pods, {"metadata": meta, "spec": found, "status": status})

    def gone(self, name: str) -> None:
        old = self.scheduler.pods._objects.pop(("default", name))
        self.scheduler.pods._tell(Deleted(old))

    def _show(self, informer: Any, obj: Object) -> None:
        key = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        old = informer._objects.get(key)
        informer._objects[key] = obj
        informer._tell(Applied(obj, old))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def idle() -> None:
            await asyncio.Event().wait()

        s = self.scheduler
        for informer in (s.pods, s.nodes, s.namespaces, s.budgets, *s.storage.informers):
            informer.run = idle  # type: ignore[method-assign]
            informer._synced.set()
        task = asyncio.get_running_loop().create_task(self.scheduler.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def moment() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
