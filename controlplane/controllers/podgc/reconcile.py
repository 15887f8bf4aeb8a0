"""Removes pods of nodes that are gone, pods deleted before they were bound, and finished pods beyond the limit."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import NotFound
from panal.informer import Deleted, Delta
from panal.resources import NODES, PODS

from ..context import Context, by_node
from ..meta import Key, Object, key, name, namespace, spec, status, uid
from ..pods import is_terminal
from . import decide


class PodGC:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods_on = context.informers.index(PODS, by_node)
        self._pods = context.informers.of(PODS)
        self._nodes = context.informers.of(NODES)
        self._limit = context.settings.terminated_pods
        self._finished: set[Key] = set()
        self._controller: Controller[Key] = Controller("pod-garbage-collector", self.reconcile, workers=2)
        self._pods.subscribe(self._on_pod)
        self._nodes.subscribe(self._on_node)

    async def run(self) -> None:
        await self._context.ready(self._pods, self._nodes)
        for pod in self._pods.all():
            if spec(pod).get("nodeName"):
                self._consider(pod)
        await self._controller.run()

    def _on_node(self, delta: Delta) -> None:
        if isinstance(delta, Deleted):
            for pod in self._pods_on.get(name(delta.old)):
                self._consider(pod)

    def _on_pod(self, delta: Delta) -> None:
        if isinstance(delta, Deleted):
            self._finished.discard(key(delta.old))
            return
        pod = delta.new
        if decide.is_stillborn(pod):
            self._controller.queue.add(key(pod))
        elif is_terminal(pod):
            self._finished.add(key(pod))
            if 0 < self._limit < len(self._finished):
                self._controller.queue.add(key(pod))
        elif self._nodes.has_synced and self._pods.has_synced:
            self._consider(pod)

    def _consider(self, pod: Object) -> None:
        """A node may come back under its name within the quarantine."""
        if self._nodes.get("", str(spec(pod).get("nodeName") or "")) is None and spec(pod).get("nodeName"):
            self._controller.queue.add_after(key(pod), self._context.settings.pod_gc_quarantine)

    async def reconcile(self, which: Key) -> float | None:
        pod = self._pods.get(*which)
        if pod is None:
            return None
        if decide.is_stillborn(pod):
            await self._remove(pod)
        elif is_terminal(pod):
            for old in decide.too_many_finished(self._pods.all(), self._limit):
                await self._remove(old)
        elif decide.is_orphan(pod, {name(node) for node in self._nodes.all()}) and await self._is_gone(pod):
            client = self._context.client
            try:
                wanted = decide.failed(pod, self._context.now())
                if wanted != status(pod):
                    await client.update_status(PODS, {**pod, "status": wanted})
            except NotFound:
                return None
            await self._remove(pod)
        return None

    async def _is_gone(self, pod: Object) -> bool:
        try:
            await self._context.client.get(NODES, str(spec(pod).get("nodeName")))
        except NotFound:
            return True
        return False

    async def _remove(self, pod: Object) -> None:
        try:
            await self._context.client.delete(PODS, name(pod), namespace(pod), grace_seconds=0, uid=uid(pod))
        except NotFound:
            pass
