"""The shell around `decide`: watches pods and nodes, binds, and says why a pod has to wait.

One pod at a time is decided on, synchronously, over a snapshot; its binding is written while the next is decided, the
pod being assumed on its node meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import replace
from typing import Any, Protocol

from panal.client import Client, Unreachable
from panal.errors import Conflict, NotFound, StatusError
from panal.events import Recorder, now_rfc3339
from panal.informer import Applied, Deleted, Delta, Informer, all_synced
from panal.resources import NAMESPACES, NODES, PODS, resource

from . import plugins
from .cache import Cache
from .decide import Chance, Outcome, Placed, Refused, message, schedule
from .preempt import Preemption, is_under_way, preempt
from .queue import Queue, Waiting
from .snapshot import Object, PodInfo, Snapshot, allocatable_of, pod_info
from .storage import Storage, Unbound

NAME = "default-scheduler"
_log = logging.getLogger(__name__)


class Binder(Protocol):
    """What the loop asks of the API."""

    async def bind(self, pod: PodInfo, node: str) -> None: ...

    async def say_unschedulable(self, pod: PodInfo, reason: str, text: str, promised: str | None) -> None: ...

    async def evict(self, victim: PodInfo, preemptor: PodInfo) -> None: ...


class ApiBinder:
    """Binds through pods/binding; writes the PodScheduled condition; deletes pods that have to make room."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, pod: PodInfo, node: str) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        }
        await self._client.create(PODS, binding, pod.namespace, name=pod.name, subresource="binding")

    async def say_unschedulable(self, pod: PodInfo, reason: str, text: str, promised: str | None) -> None:
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": now_rfc3339(),
            "reason": reason,
            "message": text,
        }
        status: Object = {"conditions": [condition]}
        if promised is not None:
            status["nominatedNodeName"] = promised
        patch = {"metadata": {"uid": pod.uid}, "status": status}
        await self._client.patch(PODS, pod.name, patch, pod.namespace, kind="strategic", subresource="status")

    async def evict(self, victim: PodInfo, preemptor: PodInfo) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": now_rfc3339(),
            "reason": "PreemptionByScheduler",
            "message": f"{NAME}: preempting to accommodate a higher priority pod",
        }
        patch = {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
        where = victim.name, patch, victim.namespace
        await self._client.patch(PODS, *where, kind="strategic", subresource="status")
        await self._client.delete(PODS, victim.name, victim.namespace, uid=victim.uid)


def slim(obj: Object) -> Object:
    obj["metadata"].pop("managedFields", None)
    return obj


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def waits_for_us(pod: Object) -> bool:
    """Unbound, ours, not gated, neither finished nor being deleted."""
    spec = pod.get("spec") or {}
    return (
        not spec.get("nodeName")
        and (spec.get("schedulerName") or NAME) == NAME
        and not spec.get("schedulingGates")
        and not pod["metadata"].get("deletionTimestamp")
        and not is_finished(pod)
    )


class Scheduler:
    def __init__(
        self, client: Client, events: Recorder, *, binder: Binder | None = None, chance: Chance | None = None
    ) -> None:
        self._events = events
        self._binder = binder if binder is not None else ApiBinder(client)
        self._chance: Chance = chance if chance is not None else random.Random()
        self.cache = Cache()
        self.queue = Queue()
        self._work = asyncio.Event()
        self.pods = Informer(client, PODS, transform=slim)
        self.nodes = Informer(client, NODES, transform=slim)
        self.storage = Storage(client, lambda: self._wake(plugins.STORAGE_CHANGED))
        self.namespaces = Informer(client, NAMESPACES, transform=slim)
        self.budgets = Informer(client, resource("poddisruptionbudgets", "policy"), transform=slim)
        self.namespaces.subscribe(self._on_namespace)
        self.budgets.subscribe(self._on_budget)
        self.nodes.subscribe(self._on_node)
        self.pods.subscribe(self._on_pod)

    async def run(self) -> None:
        """Schedule until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.nodes.run(), name="informer nodes")
            group.create_task(self.pods.run(), name="informer pods")
            for informer in self.storage.informers:
                group.create_task(informer.run(), name=f"informer {informer.resource.plural}")
            group.create_task(self.namespaces.run(), name="informer namespaces")
            group.create_task(self.budgets.run(), name="informer poddisruptionbudgets")
            await all_synced(self.nodes, self.pods, self.namespaces, self.budgets, *self.storage.informers)
            while True:
                item = self.queue.pop(time.monotonic())
                if item is None:
                    await self._wait()
                else:
                    self._attempt(item, group)

    async def _wait(self) -> None:
        """Until an event, or until a back-off ends."""
        self._work.clear()
        try:
            async with asyncio.timeout(self.queue.next_due(time.monotonic())):
                await self._work.wait()
        except TimeoutError:
            pass

    def _attempt(self, item: Waiting, group: asyncio.TaskGroup) -> None:
        pod = item.pod
        snapshot = replace(self.cache.snapshot(), storage=self.storage)
        try:
            outcome = schedule(pod, snapshot, self._chance)
            eviction = self._preempt(pod, snapshot, outcome)
        except Exception:
            _log.exception("scheduling %s/%s failed", pod.namespace, pod.name)
            self.queue.failed(item, time.monotonic())
            return
        match outcome:
            case Placed(node):
                self.cache.assume(pod, node)
                group.create_task(self._bind(item, node, snapshot), name=f"bind {pod.namespace}/{pod.name}")
            case Refused(_, filters, _):
                self.queue.refused(item, filters, time.monotonic())
                explaining = self._explain(pod, message(outcome), eviction)
                group.create_task(explaining, name=f"explain {pod.namespace}/{pod.name}")

    @staticmethod
    def _preempt(pod: PodInfo, snapshot: Snapshot, outcome: Outcome) -> Preemption | None:
        if isinstance(outcome, Placed) or is_under_way(pod, snapshot):
            return None
        return preempt(pod, snapshot, outcome)

    async def _bind(self, item: Waiting, node: str, snapshot: Snapshot) -> None:
        pod = item.pod
        try:
            await self.storage.bind(pod, snapshot.nodes[node].node, snapshot)
            await self._binder.bind(pod, node)
        except (NotFound, Conflict, Unbound) as error:
            _log.info("%s/%s: %s", pod.namespace, pod.name, error)
            self._give_back(item)
        except (StatusError, Unreachable) as error:
            _log.warning("binding %s/%s to %s: %s", pod.namespace, pod.name, node, error)
            self._give_back(item)
        else:
            text = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
            self._events.event(item.pod.obj, "Normal", "Scheduled", text)
            self.queue.remove(pod.uid)

    def _give_back(self, item: Waiting) -> None:
        """The binding failed: its place is free again, and the pod, if it still waits, is tried again later."""
        self.cache.forget(item.pod.uid)
        live = self.pods.get(item.pod.namespace, item.pod.name)
        if live is None or not waits_for_us(live) or live["metadata"].get("uid") != item.pod.uid:
            self.queue.remove(item.pod.uid)
        else:
            self.queue.failed(item, time.monotonic())
        self._wake(plugins.POD_GONE)

    async def _explain(self, pod: PodInfo, text: str, eviction: Preemption | None) -> None:
        """Say why the pod waits, and make room for it where others are less important."""
        live = self.pods.get(pod.namespace, pod.name)
        if live is None or live["metadata"].get("uid") != pod.uid or not waits_for_us(live):
            return
        self._events.event(live, "Warning", "FailedScheduling", text)
        promised = eviction.node if eviction is not None else None
        try:
            if promised is not None or _scheduled_condition(live) != ("False", "Unschedulable", text):
                await self._binder.say_unschedulable(pod, "Unschedulable", text, promised)
            for victim in eviction.victims if eviction is not None else ():
                said = f"Preempted by pod {pod.uid} on node {promised}"
                self._events.event(victim.obj, "Normal", "Preempted", said)
                await self._binder.evict(victim, pod)
        except (StatusError, Unreachable) as error:
            _log.debug("%s/%s: %s", pod.namespace, pod.name, error)

    def _on_node(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self.cache.set_node(new)
                if old is None:
                    self._wake(plugins.NODE_ADDED)
                elif _node_matters(old, new):
                    self._wake(plugins.NODE_CHANGED)
            case Deleted(old):
                self.cache.remove_node(old["metadata"]["name"])

    def _on_namespace(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self.cache.namespaces[new["metadata"]["name"]] = new["metadata"].get("labels") or {}
                if old is not None and old["metadata"].get("labels") != new["metadata"].get("labels"):
                    self._wake(plugins.POD_PLACED)  # as if its pods had come: the filters that look at neighbours
            case Deleted(old):
                self.cache.namespaces.pop(old["metadata"]["name"], None)

    def _on_budget(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _):
                self.cache.budgets[new["metadata"]["namespace"], new["metadata"]["name"]] = new
            case Deleted(old):
                self.cache.budgets.pop((old["metadata"]["namespace"], old["metadata"]["name"]), None)

    def _on_pod(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self._on_applied(new, old)
            case Deleted(old):
                uid = old["metadata"].get("uid") or ""
                self.queue.remove(uid)
                if self.cache.remove_pod(uid):
                    self._wake(plugins.POD_GONE)

    def _on_applied(self, new: Object, old: Object | None) -> None:
        uid = new["metadata"].get("uid") or ""
        node = (new.get("spec") or {}).get("nodeName")
        if node and not is_finished(new):
            self.queue.remove(uid)
            if old is None or not _same_placement(old, new):
                self.cache.add_pod(pod_info(new), node)
                self._wake(plugins.POD_PLACED if not _shrunk(old, new) else plugins.POD_GONE)
        elif node or not waits_for_us(new):
            self.queue.remove(uid)
            if self.cache.remove_pod(uid):
                self._wake(plugins.POD_GONE)
        elif not self.cache.is_assumed(uid):
            self.cache.nominate(pod_info(new))
            if old is not None and uid in self.queue and _same_wishes(old, new):
                self.queue.update(pod_info(new))
            else:
                self.queue.add(pod_info(new), time.monotonic())
                self._work.set()

    def _wake(self, event: str) -> None:
        self.queue.wake(event, time.monotonic())
        self._work.set()


def _scheduled_condition(pod: Object) -> tuple[Any, Any, Any] | None:
    for item in (pod.get("status") or {}).get("conditions") or ():
        if item.get("type") == "PodScheduled":
            return item.get("status"), item.get("reason"), item.get("message")
    return None


def _node_matters(old: Object, new: Object) -> bool:
    """Heartbeats change nothing that a pod could wait for."""
    if old.get("spec") != new.get("spec") or old["metadata"].get("labels") != new["metadata"].get("labels"):
        return True
    return allocatable_of(old) != allocatable_of(new)


def _same_wishes(old: Object, new: Object) -> bool:
    return old.get("spec") == new.get("spec") and old["metadata"].get("labels") == new["metadata"].get("labels")


def _same_placement(old: Object, new: Object) -> bool:
    """Nothing changed that the cache keeps of a bound pod."""
    deleting = old["metadata"].get("deletionTimestamp"), new["metadata"].get("deletionTimestamp")
    return _same_wishes(old, new) and deleting[0] == deleting[1]


def _shrunk(old: Object | None, new: Object) -> bool:
    """A bound pod that changed may have freed something: resized, or relabelled."""
    return old is not None and bool((old.get("spec") or {}).get("nodeName"))
