"""The shell around `decide`: watches pods and nodes, binds, and says why a pod has to wait.

One pod at a time is decided on, synchronously, over a snapshot; its binding is written while the next is decided, the
pod being assumed on its node meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Container, Sequence
from typing import Any

from panal.client import Client, Unreachable
from panal.errors import Conflict, NotFound, StatusError
from panal.events import Recorder
from panal.informer import Applied, Deleted, Delta, Informer, all_synced
from panal.resources import NAMESPACES, NODES, PODS, resource

from . import hints, plugins
from .alike import Chance, Tables
from .binder import ApiBinder, Binder
from .cache import Cache
from .configuration import Configuration
from .decide import Outcome, Placed, Refused, message, schedule
from .plugins.contract import Filter
from .preempt import Preemption
from .profiles import NAME, Profile
from .queue import Queue, Waiting
from .snapshot import NodeInfo, Object, PodInfo, Snapshot, allocatable_of, pod_info
from .steps import Handle, Rejected
from .storage import Storage

FLYING = 128
"""Bindings written at a time: more of them only wait, in the API server instead of here."""
_log = logging.getLogger(__name__)


def slim(obj: Object) -> Object:
    obj["metadata"].pop("managedFields", None)
    return obj


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def waits_for_us(pod: Object, names: Container[str] = (NAME,)) -> bool:
    """Unbound, meant for a scheduler of one of these names, not gated, neither finished nor being deleted."""
    spec = pod.get("spec") or {}
    return (
        not spec.get("nodeName")
        and (spec.get("schedulerName") or NAME) in names
        and not spec.get("schedulingGates")
        and not pod["metadata"].get("deletionTimestamp")
        and not is_finished(pod)
    )


class _Desk:
    """A profile at work: what it remembers of the nodes, and the name under which it writes events."""

    def __init__(self, profile: Profile, events: Recorder) -> None:
        self.profile = profile
        self.events = events
        self.tables = Tables(profile.filters, profile.scores)


class Scheduler:
    """`recorder` makes the recorder of a profile by its name."""

    def __init__(
        self,
        client: Client,
        recorder: Callable[[str], Recorder],
        *,
        configuration: Configuration | None = None,
        binder: Binder | None = None,
        chance: Chance | None = None,
    ) -> None:
        found = configuration or Configuration()
        self._desks = {profile.name: _Desk(profile, recorder(profile.name)) for profile in found.profiles}
        self._binder = binder if binder is not None else ApiBinder(client)
        self._chance: Chance = chance if chance is not None else random.Random()
        self._flying = 0
        """Bindings that are being written."""
        self._work = asyncio.Event()
        self.queue = Queue(
            found.backoff_first,
            found.backoff_most,
            order=found.profiles[0].queue_sort[0].key,
            wakes={item.name: item.wakes for profile in found.profiles for item in profile.filters},
        )
        self.pods = Informer(client, PODS, transform=slim)
        self.nodes = Informer(client, NODES, transform=slim)
        self.storage = Storage(client, lambda: self._wake(plugins.STORAGE_CHANGED))
        self.cache = Cache(self.storage)
        self._handle = Handle(self._binder, self.storage, self.cache.snapshot)
        self.namespaces = Informer(client, NAMESPACES, transform=slim)
        self.budgets = Informer(client, resource("poddisruptionbudgets", "policy"), transform=slim)
        self.namespaces.subscribe(self._on_namespace)
        self.budgets.subscribe(self._on_budget)
        self.nodes.subscribe(self._on_node)
        self.pods.subscribe(self._on_pod)

    def _desk(self, pod: Object) -> _Desk:
        return self._desks[(pod.get("spec") or {}).get("schedulerName") or NAME]

    def _filters(self, pod: PodInfo) -> Sequence[Filter]:
        return self._desk(pod.obj).profile.filters

    def _is_ours(self, pod: Object) -> bool:
        return waits_for_us(pod, self._desks)

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
                item = self.queue.pop(time.monotonic()) if self._flying < FLYING else None
                if item is None:
                    await self._wait()
                else:
                    self._attempt(item, group)
                    await asyncio.sleep(0)

    async def _wait(self) -> None:
        """Until an event, or until a back-off ends."""
        self._work.clear()
        due = self.queue.next_due(time.monotonic()) if self._flying < FLYING else None
        try:
            async with asyncio.timeout(due):
                await self._work.wait()
        except TimeoutError:
            pass

    def _attempt(self, item: Waiting, group: asyncio.TaskGroup) -> None:
        pod, desk = item.pod, self._desk(item.pod.obj)
        snapshot = self.cache.snapshot()
        filters, scores = desk.profile.filters, desk.profile.scores
        try:
            outcome = schedule(pod, snapshot, self._chance, filters, scores, desk.tables)
            eviction = self._make_room(pod, snapshot, outcome, desk.profile)
        except Exception:
            _log.exception("scheduling %s/%s failed", pod.namespace, pod.name)
            self.queue.failed(item, time.monotonic())
            return
        match outcome:
            case Placed(node):
                self._take(item, desk.profile, snapshot.nodes[node], group)
            case Refused(_, blamed, _):
                self.queue.refused(item, blamed, time.monotonic())
                explaining = self._explain(item, message(outcome, room=eviction is not None), eviction)
                group.create_task(explaining, name=f"explain {pod.namespace}/{pod.name}")

    @staticmethod
    def _make_room(pod: PodInfo, snapshot: Snapshot, outcome: Outcome, profile: Profile) -> Preemption | None:
        if isinstance(outcome, Placed):
            return None
        tried = (item.free(pod, snapshot, outcome, profile.filters) for item in profile.post_filters)
        return next((found for found in tried if found is not None), None)

    def _take(self, item: Waiting, profile: Profile, info: NodeInfo, group: asyncio.TaskGroup) -> None:
        """The pod has its node: what it needs there is kept for it, and the binding is under way."""
        pod = item.pod
        promised = bool((pod.obj.get("status") or {}).get("nominatedNodeName"))
        self.cache.assume(pod, info.name)
        try:
            for plugin in profile.reserves:
                plugin.keep(self._handle, pod, info.node)
        except Rejected as error:
            _log.info("%s/%s: %s", pod.namespace, pod.name, error)
            self._give_back(item, profile, info.name)
            return
        self._flying += 1
        group.create_task(self._bind(item, profile, info.name), name=f"bind {pod.namespace}/{pod.name}")
        if promised:
            self._wake(plugins.POD_GONE)  # where it was promised a place, and did not take it, there is room

    async def _bind(self, item: Waiting, profile: Profile, node: str) -> None:
        pod = item.pod
        try:
            await self._go(pod, profile, node)
        except (NotFound, Conflict, Rejected) as error:
            _log.info("%s/%s: %s", pod.namespace, pod.name, error)
            self._give_back(item, profile, node)
        except (StatusError, Unreachable) as error:
            _log.warning("binding %s/%s to %s: %s", pod.namespace, pod.name, node, error)
            self._give_back(item, profile, node)
        else:
            text = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
            self._desk(pod.obj).events.event(pod.obj, "Normal", "Scheduled", text, action="Binding")
            self.queue.remove(pod.uid)
        finally:
            self._flying -= 1
            if self._flying == FLYING - 1:
                self._work.set()

    async def _go(self, pod: PodInfo, profile: Profile, node: str) -> None:
        for permit in profile.permits:
            if (why := await permit.ask(pod, node)) is not None:
                raise Rejected(f"{permit.name}: {why}")
        for step in profile.pre_binds:
            await step.ready(self._handle, pod, node)
        for bind in profile.binds:
            if await bind.write(self._handle, pod, node):
                return
        raise Rejected("no bind plugin has bound it")

    def _give_back(self, item: Waiting, profile: Profile, node: str) -> None:
        """It does not go there: its place is free again, and the pod, if it still waits, is tried again later."""
        for plugin in reversed(profile.reserves):
            plugin.undo(self._handle, item.pod)
        self.cache.forget(item.pod.uid)
        live = self.pods.get(item.pod.namespace, item.pod.name)
        if live is None or not self._is_ours(live) or live["metadata"].get("uid") != item.pod.uid:
            self.queue.remove(item.pod.uid)
        else:
            self.queue.failed(item, time.monotonic())
        self._wake(plugins.POD_GONE, node)

    async def _explain(self, item: Waiting, text: str, eviction: Preemption | None) -> None:
        """Say why the pod waits, and make room for it where others are less important."""
        pod = item.pod
        live = self.pods.get(pod.namespace, pod.name)
        if live is None or live["metadata"].get("uid") != pod.uid or not self._is_ours(live):
            return
        events = self._desk(live).events
        events.event(live, "Warning", "FailedScheduling", text, action="Scheduling")
        promised = eviction.node if eviction is not None else None
        try:
            if promised is not None or _scheduled_condition(live) != ("False", "Unschedulable", text):
                await self._binder.say_unschedulable(pod, "Unschedulable", text, promised)
            for victim in eviction.victims if eviction is not None else ():
                said = f"Preempted by pod {pod.uid} on node {promised}"
                events.event(victim.obj, "Normal", "Preempted", said, action="Preempting")
                with contextlib.suppress(NotFound):  # it has left by itself
                    await self._binder.evict(victim, pod)
        except (StatusError, Unreachable) as error:
            _log.info("%s/%s: %s", pod.namespace, pod.name, error)
            if eviction is not None:
                self.queue.retry(item, time.monotonic())
                self._work.set()

    def _on_node(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self.cache.set_node(new)
                if old is None:
                    self._wake(plugins.NODE_ADDED, new["metadata"]["name"])
                elif _node_matters(old, new):
                    self._wake(plugins.NODE_CHANGED, new["metadata"]["name"])
            case Deleted(old):
                self.cache.remove_node(old["metadata"]["name"])

    def _on_namespace(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self.cache.set_namespace(new["metadata"]["name"], new["metadata"].get("labels") or {})
                if old is not None and old["metadata"].get("labels") != new["metadata"].get("labels"):
                    self._wake(plugins.POD_PLACED)  # as if its pods had come: the filters that look at neighbours
            case Deleted(old):
                self.cache.set_namespace(old["metadata"]["name"], None)

    def _on_budget(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _):
                self.cache.set_budget((new["metadata"]["namespace"], new["metadata"]["name"]), new)
            case Deleted(old):
                self.cache.set_budget((old["metadata"]["namespace"], old["metadata"]["name"]), None)

    def _on_pod(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self._on_applied(new, old)
            case Deleted(old):
                uid = old["metadata"].get("uid") or ""
                self.queue.remove(uid)
                self._remove(uid, old)

    def _on_applied(self, new: Object, old: Object | None) -> None:
        uid = new["metadata"].get("uid") or ""
        node = (new.get("spec") or {}).get("nodeName")
        if node and not is_finished(new):
            self.queue.remove(uid)
            if old is None or not _same_placement(old, new):
                self._place(new, old, node)
        elif node or not self._is_ours(new):
            self.queue.remove(uid)
            self._remove(uid, new)
        elif not self.cache.is_assumed(uid):
            info = pod_info(new)
            self.cache.nominate(info)
            if old is not None and uid in self.queue and _same_wishes(old, new):
                self.queue.update(info)
            else:
                self.queue.add(info, time.monotonic())
                self._work.set()

    def _place(self, new: Object, old: Object | None, node: str) -> None:
        """A pod is on a node. A bound pod that changed may have freed something: resized, or relabelled."""
        if old is None or not self.cache.confirm(old, new, node):
            self.cache.add_pod(pod_info(new), node)
        if old is not None and (old.get("spec") or {}).get("nodeName"):
            self._wake(plugins.POD_GONE, node)
        else:
            self._wake(plugins.POD_PLACED)

    def _remove(self, uid: str, pod: Object) -> None:
        promised = self.cache.is_promised(uid)
        if self.cache.remove_pod(uid):
            self._wake(plugins.POD_GONE, None if promised else (pod.get("spec") or {}).get("nodeName"))

    def _wake(self, event: str, node: str | None = None) -> None:
        """`node` is where it happened, if it happened on one."""
        info = self.cache.node(node) if node else None
        hint = hints.about(info, self.cache.snapshot(), self._filters) if info is not None else None
        self.queue.wake(event, time.monotonic(), hint)
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
