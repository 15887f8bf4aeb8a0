"""Sizes what HorizontalPodAutoscalers point at, every 15 seconds while there are any."""

from __future__ import annotations

import urllib.parse
from typing import Any

import orjson

from panal.client import Unreachable
from panal.controllers import Controller
from panal.errors import Conflict, NotFound, StatusError
from panal.informer import Applied, Delta
from panal.resources import PODS, Resource, resource
from panal.selectors import parse_labels

from ..context import Context, by_namespace
from ..discovered import resources
from ..meta import Key, Object, key, labels, namespace, spec, status
from . import decide
from .behavior import Memory

PERIOD = 15.0
"""Seconds between two looks (--horizontal-pod-autoscaler-sync-period)."""
METRICS = "/apis/metrics.k8s.io/v1beta1"
NO_METRICS = "unable to fetch metrics from resource metrics API"


class HorizontalPodAutoscalers:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._events = context.recorder("horizontal-pod-autoscaler")
        self._resource = resource("horizontalpodautoscalers")
        self._autoscalers = context.informers.of(self._resource)
        self._pods = context.informers.of(PODS)
        self._pods_in = context.informers.index(PODS, by_namespace)
        self._memories: dict[Key, Memory] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        """What targets are, by (group, kind), as discovery says."""
        self._controller: Controller[Key] = Controller("horizontalpodautoscaler", self.reconcile, workers=5)
        self._autoscalers.subscribe(self._on_autoscaler)

    async def run(self) -> None:
        await self._context.ready(self._autoscalers, self._pods)
        await self._controller.run()

    def _on_autoscaler(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old) if old is None or spec(old) != spec(new):
                self._controller.queue.add(key(new))
            case Applied():
                pass
            case _:
                self._memories.pop(key(delta.old), None)

    async def reconcile(self, which: Key) -> float | None:
        hpa = self._autoscalers.get(*which)
        if hpa is None:
            return None
        await self._look(hpa, self._memories.setdefault(which, Memory()))
        return PERIOD

    async def _look(self, hpa: Object, memory: Memory) -> None:
        now = self._context.now()
        try:
            where, scale = await self._scale(hpa)
        except (StatusError, LookupError) as problem:
            said = problem.message if isinstance(problem, StatusError) else str(problem.args[0])
            await self._tell(hpa, decide.no_scale(hpa, said, now))
            return
        current = int(spec(scale).get("replicas") or 0)
        plan = decide.plan(hpa, await self._target(hpa, scale), memory, now)
        if plan.replicas is not None:
            wanted = {**scale, "spec": {**spec(scale), "replicas": plan.replicas}}
            try:
                await self._context.client.update(where, wanted, subresource="scale")
                plan = decide.scaled(plan, memory, current, now)
            except Conflict:
                raise  # the target changed meanwhile: look again soon
            except StatusError as problem:
                plan = decide.not_scaled(plan, hpa, current, problem.message, now)
        await self._tell(hpa, plan)

    async def _tell(self, hpa: Object, plan: decide.Plan) -> None:
        for event in plan.events:
            self._events.event(hpa, *event)
        if plan.status != status(hpa):
            try:
                await self._context.client.update_status(self._resource, {**hpa, "status": plan.status})
            except NotFound:
                return

    async def _scale(self, hpa: Object) -> tuple[Resource, Object]:
        """The target's resource and Scale. Raises StatusError, and LookupError where there is no such kind."""
        reference = spec(hpa).get("scaleTargetRef") or {}
        group = str(reference.get("apiVersion") or "").rpartition("/")[0]
        kind = str(reference.get("kind"))
        if (group, kind) not in self._kinds:
            for item in await resources(self._context.client):
                self._kinds.setdefault((item.group, item.kind), item)
        where = self._kinds.get((group, kind))
        if where is None:
            raise LookupError(f'no matches for kind "{kind}" in group "{group}"')
        name = str(reference.get("name"))
        return where, await self._context.client.get(where, name, namespace(hpa), subresource="scale")

    async def _target(self, hpa: Object, scale: Object) -> decide.Target:
        replicas, text = int(spec(scale).get("replicas") or 0), str(status(scale).get("selector") or "")
        if not text:
            return decide.Target(replicas, problem="selector is required")
        selector = parse_labels(text)
        pods = [pod for pod in self._pods_in.get(namespace(hpa)) if selector.matches(labels(pod))]
        query = urllib.parse.quote(text, safe="")
        path = f"{METRICS}/namespaces/{namespace(hpa)}/pods?labelSelector={query}"
        try:
            answer: dict[str, Any] = orjson.loads(await self._context.client.request("GET", path))
        except StatusError as problem:
            return decide.Target(replicas, pods, problem=f"{NO_METRICS}: {problem.message}")
        except Unreachable as problem:
            return decide.Target(replicas, pods, problem=f"{NO_METRICS}: {problem}")
        return decide.Target(replicas, pods, answer.get("items") or [])
