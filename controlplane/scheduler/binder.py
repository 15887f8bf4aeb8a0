"""What the scheduler writes: bindings, why a pod waits, and the deletion of pods that have to make room."""

from __future__ import annotations

from typing import Protocol

from panal.client import Client
from panal.events import now_rfc3339
from panal.resources import PODS

from .snapshot import Object, PodInfo


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
        name = (preemptor.obj.get("spec") or {}).get("schedulerName") or "default-scheduler"
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": now_rfc3339(),
            "reason": "PreemptionByScheduler",
            "message": f"{name}: preempting to accommodate a higher priority pod",
        }
        patch = {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
        where = victim.name, patch, victim.namespace
        await self._client.patch(PODS, *where, kind="strategic", subresource="status")
        await self._client.delete(PODS, victim.name, victim.namespace, uid=victim.uid)
