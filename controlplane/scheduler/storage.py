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
from .steps import Rejected

BIND_TIMEOUT = 600.0
"""Seconds that a pod's claims may take to be bound (upstream's bindTimeoutSeconds)."""


class Unbound(Rejected):
    """The pod's claims did not get their volumes."""


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
        self._chosen: dict[str, list[tuple[Object, Object | None]]] = {}
        """Pod uid -> the volumes chosen for its claims, None where one is to be made, until they are bound."""
        self._where: dict[str, str] = {}
        """Pod uid -> the node for which they were chosen."""
        self._kept: dict[str, str] = {}
        """Volume -> uid of the claim it was chosen for."""
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

    def kept_for(self, volume: str) -> str | None:
        return self._kept.get(volume)

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

    def reserve(self, pod: PodInfo, node: Object, snapshot: Snapshot) -> None:
        """Choose volumes of the node for the pod's claims, which no other claim is given. Raises Unbound."""
        claims = unbound(pod, snapshot)
        if not claims:
            return
        chosen = choose(claims, node, snapshot)
        if chosen is None:
            raise Unbound("the pod's volumes do not fit the node any more")
        self._chosen[pod.uid], self._where[pod.uid] = chosen, node["metadata"]["name"]
        for claim, volume in chosen:
            if volume is not None:
                self._kept[volume["metadata"]["name"]] = claim["metadata"]["uid"]

    def unreserve(self, pod: PodInfo) -> None:
        if self._forget(pod):
            self._changed()

    def _forget(self, pod: PodInfo) -> bool:
        """Whether a volume was kept."""
        self._where.pop(pod.uid, None)
        volumes = [volume["metadata"]["name"] for _, volume in self._chosen.pop(pod.uid, ()) if volume is not None]
        for name in volumes:
            self._kept.pop(name, None)
        return bool(volumes)

    async def bind(self, pod: PodInfo) -> None:
        """Give the claims what was reserved and wait until they have it. Raises Unbound, StatusError."""
        if (chosen := self._chosen.get(pod.uid)) is None:
            return
        for claim, volume in chosen:
            if volume is not None:
                await self._point(volume, claim)
            else:
                await self._select(claim, self._where[pod.uid])
        await self._bound(pod)
        self._forget(pod)

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
