"""Lets claims and volumes that are being deleted go once nobody uses them any more."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import NotFound
from panal.informer import Applied, Deleted, Delta
from panal.resources import PERSISTENTVOLUMECLAIMS, PODS

from ... import volumebinding as facts
from ..context import Context
from ..meta import Key, Object, is_deleting, key, name, namespace, spec, status
from . import decide
from .reconcile import VOLUMES, by_claim


def uses(pod: Object, claim: str) -> bool:
    """A pod counts from when it has a node: no kubelet starts one whose claim is being deleted."""
    return bool(spec(pod).get("nodeName")) and claim in facts.claim_names(pod)


class ClaimProtection:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._claims, self._pods = context.informers.of(PERSISTENTVOLUMECLAIMS), context.informers.of(PODS)
        self._users = context.informers.index(PODS, by_claim)
        self._controller: Controller[Key] = Controller("persistentvolumeclaim-protection", self.reconcile, workers=1)
        self._claims.subscribe(self._on_claim)
        self._pods.subscribe(self._on_pod)

    async def run(self) -> None:
        await self._context.ready(self._claims, self._pods)
        await self._controller.run()

    def _on_claim(self, delta: Delta) -> None:
        if isinstance(delta, Applied) and is_deleting(delta.new):
            self._controller.queue.add(key(delta.new))

    def _on_pod(self, delta: Delta) -> None:
        if isinstance(delta, Deleted):
            for claim in facts.claim_names(delta.old):
                self._controller.queue.add((namespace(delta.old), claim))

    async def reconcile(self, which: Key) -> float | None:
        claim = self._claims.get(*which)
        wanted = decide.unprotected(claim, decide.CLAIM_PROTECTION) if claim is not None else None
        if claim is None or wanted is None:
            return None
        if any(uses(pod, name(claim)) for pod in self._users.get(which)):
            return None
        live = await self._context.client.list(PODS, namespace(claim))
        if any(uses(pod, name(claim)) for pod in live["items"]):
            return 1.0
        try:
            await self._context.client.update(PERSISTENTVOLUMECLAIMS, wanted)
        except NotFound:
            pass
        return None


class VolumeProtection:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._volumes = context.informers.of(VOLUMES)
        self._controller: Controller[Key] = Controller("persistentvolume-protection", self.reconcile, workers=1)
        self._volumes.subscribe(self._on_volume)

    async def run(self) -> None:
        await self._context.ready(self._volumes)
        await self._controller.run()

    def _on_volume(self, delta: Delta) -> None:
        if isinstance(delta, Applied) and is_deleting(delta.new):
            self._controller.queue.add(key(delta.new))

    async def reconcile(self, which: Key) -> float | None:
        volume = self._volumes.get(*which)
        wanted = decide.unprotected(volume, decide.VOLUME_PROTECTION) if volume is not None else None
        if volume is None or wanted is None or status(volume).get("phase") == "Bound":
            return None
        try:
            await self._context.client.update(VOLUMES, wanted)
        except NotFound:
            pass
        return None
