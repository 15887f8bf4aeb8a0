"""Claims, volumes and classes as the scheduler sees them, and the words that give a pod's claims their volumes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from panal.client import Client
from panal.informer import Applied, Deleted, Delta, Informer
from panal.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, resource

from .. import volumebinding as facts
from .plugins.volumes import choose, unbound
from .snapshot import Object, PodInfo, Snapshot

BIND_TIMEOUT = 600.0
"""Seconds that a pod's claims may take to be bound (upstream's bindTimeoutSeconds)."""


class Unbound(Exception):
    """The pod's claims did not get their volumes; the message is for a person."""


def slim(obj: Object) -> Object:
    obj["metadata"].pop("managedFields", None)
    return obj


class Storage:
    """Three informers; `changed` is called when something may let a waiting pod in."""

    def __init__(self, client: Client, changed: Callable[[], None]) -> None:
        self._client = client
        self._changed = changed
        self._by_class: dict[str, dict[str, Object]] = {}
        self._waiting: set[asyncio.Event] = set()
        self._claims = Informer(client, PERSISTENTVOLUMECLAIMS, transform=slim)
        self._volumes = Informer(client, PERSISTENTVOLUMES, transform=slim)
        self._classes = Informer(client, resource("storageclasses"), transform=slim)
        self.informers = (self._claims, self._volumes, self._classes)
        self._volumes.subscribe(self._on_volume)
        self._claims.subscribe(self._on_any)
        self._classes.subscribe(self._on_any)

    def claim(self, namespace: str, name: str) -> Object | None:
        return self._claims.get(namespace, name)

    def volume(self, name: str) -> Object | None:
        return self._volumes.get("", name)

    def storage_class(self, name: str) -> Object | None:
        return self._classes.get("", name) if name else None

    def volumes(self, storage_class: str) -> list[Object]:
        return list(self._by_class.get(storage_class, {}).values())

    def _on_volume(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                if old is not None and facts.class_of(old) != facts.class_of(new):
                    self._drop(old)
                self._by_class.setdefault(facts.class_of(new), {})[new["metadata"]["name"]] = new
            case Deleted(old):
                self._drop(old)
        self._on_any(delta)

    def _drop(self, volume: Object) -> None:
        self._by_class.get(facts.class_of(volume), {}).pop(volume["metadata"]["name"], None)

    def _on_any(self, delta: Delta) -> None:
        for event in self._waiting:
            event.set()
        self._changed()

    async def bind(self, pod: PodInfo, node: Object, snapshot: Snapshot) -> None:
        """Give the pod's claims volumes of the node and wait until they have them. Raises Unbound, StatusError."""
        claims = unbound(pod, snapshot)
        if not claims:
            return
        chosen = choose(claims, node, snapshot)
        if chosen is None:
            raise Unbound("the pod's volumes do not fit the node any more")
        for claim, volume in chosen:
            if volume is not None:
                await self._point(volume, claim)
            else:
                await self._select(claim, node["metadata"]["name"])
        await self._bound(pod)

    async def _point(self, volume: Object, claim: Object) -> None:
        if facts.belongs_to(volume, claim):
            return
        meta = claim["metadata"]
        reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta["namespace"]}
        reference |= {"name": meta["name"], "uid": meta["uid"], "resourceVersion": meta.get("resourceVersion", "")}
        notes = {**facts.notes_of(volume), facts.BOUND_BY_CONTROLLER: "yes"}
        wanted = {
            **volume,
            "metadata": {**volume["metadata"], "annotations": notes},
            "spec": {**volume["spec"], "claimRef": reference},
        }
        await self._client.update(PERSISTENTVOLUMES, wanted)

    async def _select(self, claim: Object, node: str) -> None:
        if facts.notes_of(claim).get(facts.SELECTED_NODE) == node:
            return
        notes = {**facts.notes_of(claim), facts.SELECTED_NODE: node}
        wanted = {**claim, "metadata": {**claim["metadata"], "annotations": notes}}
        await self._client.update(PERSISTENTVOLUMECLAIMS, wanted)

    async def _bound(self, pod: PodInfo) -> None:
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            async with asyncio.timeout(BIND_TIMEOUT):
                while not self._all_bound(pod):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise Unbound("timed out waiting for the pod's claims to be bound") from None
        finally:
            self._waiting.discard(changed)

    def _all_bound(self, pod: PodInfo) -> bool:
        for name in facts.claim_names(pod.obj):
            claim = self.claim(pod.namespace, name)
            if claim is None or claim["metadata"].get("deletionTimestamp"):
                raise Unbound(f'persistentvolumeclaim "{name}" not found')
            if not facts.is_bound(claim):
                return False
        return True
