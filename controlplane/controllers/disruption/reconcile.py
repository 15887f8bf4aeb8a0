"""Keeps the status of PodDisruptionBudgets true, for the eviction API to go by."""

from __future__ import annotations

from collections.abc import Sequence

from panal.controllers import Controller
from panal.informer import Applied, Delta
from panal.resources import (
    DEPLOYMENTS,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
    Resource,
    resource,
)

from ..claims import selector_of
from ..context import Context, by_namespace
from ..meta import Key, Object, controller_of, key, labels, namespace, status
from ..pods import is_ready
from ..replicaset.decide import replicas
from . import decide

BUDGETS = resource("poddisruptionbudgets", "policy")
SCALED: dict[str, Resource] = {
    item.kind: item for item in (DEPLOYMENTS, REPLICASETS, STATEFULSETS, REPLICATIONCONTROLLERS)
}


class Disruption:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._budgets_in = informers.index(BUDGETS, by_namespace)
        self._pods_in = informers.index(PODS, by_namespace)
        self._budgets = informers.of(BUDGETS)
        self._pods = informers.of(PODS)
        self._owners = {kind: informers.of(item) for kind, item in SCALED.items()}
        self._controller: Controller[Key] = Controller("disruption", self.reconcile, workers=2)
        self._budgets.subscribe(self._on_budget)
        self._pods.subscribe(self._on_pod)
        for informer in self._owners.values():
            informer.subscribe(self._on_owner)

    async def run(self) -> None:
        await self._context.ready(self._budgets, self._pods, *self._owners.values())
        await self._controller.run()

    def _on_budget(self, delta: Delta) -> None:
        self._controller.queue.add(key(delta.new if isinstance(delta, Applied) else delta.old))

    def _on_pod(self, delta: Delta) -> None:
        pod = delta.new if isinstance(delta, Applied) else delta.old
        if isinstance(delta, Applied) and delta.old is not None and _same(delta.old, delta.new):
            return
        before = delta.old if isinstance(delta, Applied) else None
        for budget in self._budgets_in.get(namespace(pod)):
            selector = selector_of(budget)
            if selector.matches(labels(pod)) or (before is not None and selector.matches(labels(before))):
                self._controller.queue.add(key(budget))

    def _on_owner(self, delta: Delta) -> None:
        """How many pods there should be has changed: their own news may have come before."""
        if isinstance(delta, Applied) and delta.old is not None and replicas(delta.old) != replicas(delta.new):
            for budget in self._budgets_in.get(namespace(delta.new)):
                self._controller.queue.add(key(budget))

    async def reconcile(self, which: Key) -> float | None:
        budget = self._budgets.get(*which)
        if budget is None:
            return None
        selector = selector_of(budget)
        pods = [pod for pod in self._pods_in.get(which[0]) if selector.matches(labels(pod))]
        now = self._context.now()
        wanted = decide.new_status(budget, pods, self._scale(pods), now)
        if wanted != status(budget):
            await self._context.client.update_status(BUDGETS, {**budget, "status": wanted})
        return decide.EVICTION_TIMEOUT if wanted.get("disruptedPods") else None

    def _scale(self, pods: Sequence[Object]) -> int:
        """The sum of the replicas of the pods' controllers; a pod without one counts itself."""
        owners: dict[str, int] = {}
        for pod in pods:
            top, size = self._top(pod)
            owners[top] = size
        return sum(owners.values())

    def _top(self, obj: Object) -> tuple[str, int]:
        reference = controller_of(obj)
        kind = str((reference or {}).get("kind"))
        if reference is None or kind not in self._owners:
            return str(obj["metadata"].get("uid")), 1
        owner = self._owners[kind].get(namespace(obj), str(reference.get("name")))
        if owner is None:
            return str(reference.get("uid")), 0
        if kind == "ReplicaSet" and controller_of(owner) is not None:
            return self._top(owner)
        return str(reference.get("uid")), replicas(owner)


def _same(old: Object, new: Object) -> bool:
    def seen(pod: Object) -> tuple[object, ...]:
        return is_ready(pod), status(pod).get("phase"), pod["metadata"].get("deletionTimestamp"), labels(pod)

    return seen(old) == seen(new)
