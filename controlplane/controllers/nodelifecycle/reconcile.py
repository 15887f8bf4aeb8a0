"""Watches nodes' heartbeats (Leases), keeps their conditions and taints, and makes their pods leave when they must."""

from __future__ import annotations

import asyncio

from panal.controllers import Controller
from panal.errors import NotFound
from panal.informer import Applied, Deleted, Delta
from panal.resources import LEASES, NODES, PODS

from ..context import Context, by_node
from ..meta import (
    Key,
    Object,
    is_deleting,
    key,
    name,
    namespace,
    parse_time,
    spec,
    status,
    timestamp,
    uid,
    with_condition,
)
from ..pods import is_terminal
from . import decide
from .zones import Zones, zone_of

LEASE_NAMESPACE = "kube-node-lease"


class NodeLifecycle:
    """Two queues: nodes, for health and taints; pods, for evictions."""

    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("node-controller")
        self._evictions = context.recorder("taint-eviction-controller")
        self._pods_on = informers.index(PODS, by_node)
        self._nodes = informers.of(NODES)
        self._pods = informers.of(PODS)
        self._leases = informers.of(LEASES, LEASE_NAMESPACE)
        self._heard: dict[str, decide.Heard] = {}
        self._zones = Zones(context.settings.eviction)
        self._nodes_loop: Controller[str] = Controller("node-lifecycle", self.reconcile, workers=4)
        self._pods_loop: Controller[Key] = Controller("taint-eviction", self.evict, workers=8)
        self._nodes.subscribe(self._on_node)
        self._pods.subscribe(self._on_pod)
        self._leases.subscribe(self._on_lease)

    async def run(self) -> None:
        await self._context.ready(self._nodes, self._pods, self._leases)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nodes_loop.run(), name="node-lifecycle")
            group.create_task(self._pods_loop.run(), name="taint-eviction")

    def _on_node(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                self._disruption(self._zones.see(name(new), zone_of(new), decide.is_ready(new)))
                self._nodes_loop.queue.add(name(new))
                if old is not None and spec(old).get("taints") != spec(new).get("taints"):
                    for pod in self._pods_on.get(name(new)):
                        self._pods_loop.queue.add(key(pod))
            case Deleted(old):
                self._heard.pop(name(old), None)
                self._disruption(self._zones.forget(name(old)))

    def _disruption(self, changed: bool) -> None:
        """What may be given up, and how fast, depends on the others."""
        for each in self._zones.unready() if changed else ():
            self._nodes_loop.queue.add(each)

    def _on_lease(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._note(name(delta.new))
            node = self._nodes.get("", name(delta.new))
            if node is not None and not decide.is_ready(node):
                self._nodes_loop.queue.add(name(delta.new))

    def _on_pod(self, delta: Delta) -> None:
        if isinstance(delta, Deleted):
            return
        new, old = delta.new, delta.old
        where = spec(new).get("nodeName")
        if where and (old is None or spec(old).get("nodeName") != where or spec(old) != spec(new)):
            self._pods_loop.queue.add(key(new))
            node = self._nodes.get("", where)
            if node is not None and not decide.is_ready(node):
                self._nodes_loop.queue.add(where)

    def _note(self, which: str) -> decide.Heard | None:
        node = self._nodes.get("", which)
        if node is None:
            return None
        lease = self._leases.get(LEASE_NAMESPACE, which)
        heard = decide.hear(self._heard.get(which), node, lease, self._context.now())
        self._heard[which] = heard
        return heard

    async def reconcile(self, which: str) -> float | None:
        node = self._nodes.get("", which)
        heard = self._note(which)
        if node is None or heard is None:
            return None
        client, now, grace = self._context.client, self._context.now(), self._context.settings.node_grace
        conditions = decide.silence(node, heard, grace, now)
        if conditions is not None:
            node = await client.update_status(NODES, {**node, "status": {**status(node), "conditions": conditions}})
            self._events.event(node, "Normal", "NodeNotReady", f"Node {which} status is now: NodeNotReady")
        given_up, wait = self._given_up(node, now)
        taints = decide.wanted_taints(node, now, given_up=given_up)
        if taints != (spec(node).get("taints") or []):
            node = await self._write_taints(node, taints)
        if not decide.is_ready(node):
            await self._mark_pods(which)
        if now - heard.at < grace:
            return max(heard.at + grace - now, 1.0)
        return wait

    def _given_up(self, node: Object, now: float) -> tuple[bool, float | None]:
        """Whether the pods of a node that is not ready are to leave, and in how many seconds to ask again."""
        if decide.is_ready(node) or self._zones.all_disrupted():
            return False, None
        if decide.is_given_up(node):
            return True, None
        wait = self._zones.wait(name(node), now)
        return wait == 0, wait or None

    async def _write_taints(self, node: Object, taints: list[Object]) -> Object:
        """Only the taints are sent; the resourceVersion keeps a taint added meanwhile from being lost."""
        guard = {"uid": uid(node), "resourceVersion": node["metadata"].get("resourceVersion")}
        return await self._context.client.patch(
            NODES, name(node), {"metadata": guard, "spec": {"taints": taints or None}}
        )

    async def _mark_pods(self, which: str) -> None:
        for pod in self._pods_on.get(which):
            wanted = None if is_terminal(pod) else decide.unready_pod(pod, self._context.now())
            if wanted is None:
                continue
            self._events.event(pod, "Warning", "NodeNotReady", "Node is not ready")
            try:
                await self._context.client.update_status(PODS, {**pod, "status": wanted})
            except NotFound:
                continue

    async def evict(self, which: Key) -> float | None:
        pod = self._pods.get(*which)
        if pod is None or is_deleting(pod):
            return None
        node = self._nodes.get("", str(spec(pod).get("nodeName") or ""))
        if node is None:
            return None
        now = self._context.now()
        taints = spec(node).get("taints") or []
        since = {item["key"]: parse_time(item.get("timeAdded")) or now for item in taints if item.get("key")}
        wait = decide.eviction_after(pod, taints, since, now)
        if wait is None:
            return None
        if wait > 0:
            return wait
        self._evictions.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {which[0]}/{which[1]}")
        try:
            await self._say_disrupted(pod)
            await self._context.client.delete(PODS, name(pod), namespace(pod), uid=uid(pod))
        except NotFound:
            pass
        return None

    async def _say_disrupted(self, pod: Object) -> None:
        said = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": timestamp(self._context.now()),
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        conditions = with_condition(status(pod).get("conditions"), said)
        await self._context.client.update_status(PODS, {**pod, "status": {**status(pod), "conditions": conditions}})
