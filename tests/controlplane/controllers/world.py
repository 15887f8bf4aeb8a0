"""A cluster in memory for random histories: an API that keeps its promises, informers that lag, nodes that do as told.

The controllers are the real ones, shells included; only what they watch arrives late, each resource by itself, and the
test says when anything happens. Nothing here waits: a step is a step.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from typing import Any

from panal.controlplane.controllers.context import Context, Informers
from panal.controlplane.controllers.meta import controller_of, labels, metadata, name, spec
from panal.controlplane.controllers.pods import is_active
from panal.errors import AlreadyExists, Conflict, NotFound, StatusError
from panal.informer import Informer, key_of
from panal.resources import NODES, PODS, Resource
from panal.workqueue import WorkQueue

Object = dict[str, Any]
START = 1_700_000_000.0
NS = "default"


class Api:
    """What a controller asks of `panal.client.Client`, on a dictionary; `log` is what watches would say."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.log: list[tuple[Resource, str, Object]] = []
        self.most: dict[str, int] = {}
        """Most active pods that an owner ever had, by its uid."""
        self._number = 0

    def all(self, resource: Resource) -> list[Object]:
        return [obj for (plural, _, _), obj in self.objects.items() if plural == resource.group_resource]

    async def get(self, resource: Resource, wanted: str, namespace: str | None = None) -> Object:
        return copy.deepcopy(self._find(resource, namespace or "", wanted))

    async def create(self, resource: Resource, obj: Object, namespace: str | None = None) -> Object:
        self._number += 1
        meta = dict(obj["metadata"])
        meta["name"] = meta.get("name") or f"{meta.pop('generateName')}{self._number}"
        where = resource.group_resource, namespace or "", meta["name"]
        if where in self.objects:
            raise AlreadyExists(f'{resource.group_resource} "{meta["name"]}" already exists')
        meta |= {"uid": f"u{self._number}", "generation": 1, "creationTimestamp": "2023-11-14T22:13:20Z"}
        if namespace:
            meta["namespace"] = namespace
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        made = {**head, **copy.deepcopy(obj), "metadata": meta}
        if resource is PODS:
            made["status"] = {"phase": "Pending"}
        return self._keep(resource, where, made, "ADDED")

    async def update(self, resource: Resource, obj: Object) -> Object:
        before = self._current(resource, obj)
        wanted = {**copy.deepcopy(obj), "status": before.get("status", {})}
        return self._change(resource, before, wanted)

    async def update_status(self, resource: Resource, obj: Object) -> Object:
        before = self._current(resource, obj)
        return self._change(resource, before, {**before, "status": copy.deepcopy(obj.get("status") or {})})

    async def patch(
        self, resource: Resource, wanted: str, patch: Object, namespace: str | None = None, **how: Any
    ) -> Object:
        before = self._find(resource, namespace or "", wanted)
        for field in ("uid", "resourceVersion"):
            if patch.get("metadata", {}).get(field) not in (None, before["metadata"][field]):
                raise Conflict("the object has been modified")
        return self._change(resource, before, _merged(before, patch))

    async def delete(
        self,
        resource: Resource,
        wanted: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: str = "Background",
    ) -> None:
        found = self._find(resource, namespace or "", wanted)
        if uid not in (None, found["metadata"]["uid"]):
            raise Conflict("another uid")
        if resource is PODS and spec(found).get("nodeName") and is_active(found):
            ending = {**metadata(found), "deletionTimestamp": "2023-11-14T22:13:20Z"}
            self._change(resource, found, {**found, "metadata": ending})
        elif finalizers := _finalizers(metadata(found).get("finalizers") or [], propagation):
            ending = {**metadata(found), "deletionTimestamp": "2023-11-14T22:13:20Z", "finalizers": finalizers}
            self._change(resource, found, {**found, "metadata": ending})
        elif not metadata(found).get("deletionTimestamp"):
            self.remove(resource, found)

    def remove(self, resource: Resource, obj: Object) -> None:
        """Gone at once, whoever holds it."""
        gone = self.objects.pop((resource.group_resource, metadata(obj).get("namespace", ""), name(obj)))
        self._number += 1
        last = {**gone, "metadata": {**metadata(gone), "resourceVersion": str(self._number)}}
        self.log.append((resource, "DELETED", last))

    def _find(self, resource: Resource, namespace: str, wanted: str) -> Object:
        found = self.objects.get((resource.group_resource, namespace, wanted))
        if found is None:
            raise NotFound(f'{resource.group_resource} "{wanted}" not found')
        return found

    def _current(self, resource: Resource, obj: Object) -> Object:
        before = self._find(resource, metadata(obj).get("namespace", ""), name(obj))
        for field in ("uid", "resourceVersion"):
            if metadata(obj).get(field) not in (None, before["metadata"][field]):
                raise Conflict("the object has been modified")
        return before

    def _change(self, resource: Resource, before: Object, wanted: Object) -> Object:
        if wanted == before:
            return copy.deepcopy(before)
        meta = dict(wanted["metadata"])
        if wanted.get("spec") != before.get("spec"):
            meta["generation"] = before["metadata"]["generation"] + 1
        where = resource.group_resource, meta.get("namespace", ""), meta["name"]
        kept = self._keep(resource, where, {**wanted, "metadata": meta}, "MODIFIED")
        if before["metadata"].get("finalizers") and meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self.remove(resource, kept)
        return kept

    def _keep(self, resource: Resource, where: tuple[str, str, str], obj: Object, kind: str) -> Object:
        self._number += 1
        obj["metadata"]["resourceVersion"] = str(self._number)
        self.objects[where] = obj
        self.log.append((resource, kind, obj))
        if resource is PODS:
            self._count(controller_of(obj))
        return copy.deepcopy(obj)

    def _count(self, owner: Object | None) -> None:
        if owner is not None:
            uid = owner["uid"]
            mine = [pod for pod in self.all(PODS) if (controller_of(pod) or {}).get("uid") == uid and is_active(pod)]
            self.most[uid] = max(self.most.get(uid, 0), len(mine))


def _finalizers(have: Sequence[str], propagation: str) -> list[str]:
    """Those of an object whose deletion is asked for."""
    added = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
    kept = [each for each in have if each not in ("foregroundDeletion", "orphan")]
    return [*kept, added] if added else kept


def _merged(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(before, dict):
        return copy.deepcopy(patch)
    kept = {key: value for key, value in before.items() if patch.get(key, key) is not None}
    return kept | {key: _merged(before.get(key), value) for key, value in patch.items() if value is not None}


class World:
    """`make` builds controllers; each has a queue of keys and a `reconcile`."""

    def __init__(self, *make: Callable[[Context], Any]) -> None:
        self.api = Api()
        self.now = START
        self._make = make
        self.restart()

    def restart(self) -> None:
        """The controller manager is killed, and another one starts from what the API says."""
        client: Any = self.api
        self._informers = Informers(client)
        context = Context(client, self._informers, now=lambda: self.now)
        context.recorder = lambda component: Silent()  # type: ignore[method-assign,assignment,return-value]
        self._controllers = [each(context)._controller for each in self._make]
        self._at: dict[Resource, int] = {}
        for informer in self._followed():
            self._at[informer.resource] = len(self.api.log)
            for obj in self.api.all(informer.resource):
                informer._apply(copy.deepcopy(obj))
            informer._synced.set()

    def _followed(self) -> Sequence[Informer]:
        return list(self._informers._informers.values())

    def deliver(self, which: int, many: int) -> None:
        """One informer hears of some more of what has happened."""
        followed = self._followed()
        self._hear(followed[which % len(followed)], many)

    def _hear(self, informer: Informer, many: int) -> None:
        at = self._at[informer.resource]
        while at < len(self.api.log) and many > 0:
            resource, kind, obj = self.api.log[at]
            at += 1
            if resource is informer.resource:
                many -= 1
                if kind == "DELETED":
                    informer._delete(key_of(obj), copy.deepcopy(obj))
                else:
                    informer._apply(copy.deepcopy(obj))
        self._at[informer.resource] = at

    async def work(self, which: int) -> bool:
        """One controller looks at one key; whether there was any."""
        controller = self._controllers[which % len(self._controllers)]
        queue: WorkQueue[Any] = controller.queue
        for key in list(queue._timers):
            queue.add(key)
        if not len(queue):
            return False
        key = await queue.get()
        try:
            await controller._reconcile(key)
        except StatusError:
            queue.add(key)
        finally:
            queue.done(key)
        return True

    async def bind(self, which: int) -> None:
        """The scheduler: a waiting pod goes to the node it is pinned to, or to any."""
        waiting = [pod for pod in self.api.all(PODS) if not spec(pod).get("nodeName")]
        if waiting:
            pod = waiting[which % len(waiting)]
            node = _pinned(pod) or "n0"
            await self.api.update(PODS, {**pod, "spec": {**spec(pod), "nodeName": node}})

    async def kubelet(self, which: int, phase: str = "Running") -> None:
        """A bound pod becomes Ready, or fails; one that is being deleted goes."""
        bound = [pod for pod in self.api.all(PODS) if spec(pod).get("nodeName")]
        if not bound:
            return
        pod = bound[which % len(bound)]
        if metadata(pod).get("deletionTimestamp"):
            self.api.remove(PODS, pod)
        elif is_active(pod):
            ready = {"type": "Ready", "status": str(phase == "Running"), "lastTransitionTime": "2023-11-14T22:13:20Z"}
            address = f"10.0.{int(pod['metadata']['uid'][1:]) // 250}.{int(pod['metadata']['uid'][1:]) % 250}"
            status = {"phase": phase, "conditions": [ready], "podIP": address, "podIPs": [{"ip": address}]}
            await self.api.update_status(PODS, {**pod, "status": status})

    async def settle(self, rounds: int = 400) -> None:
        """Everything is heard of and done, pods are bound, become Ready and end, until nothing more happens."""
        for _ in range(rounds):
            before = len(self.api.log)
            for informer in self._followed():
                self._hear(informer, 10**6)
            busy = False
            for index in range(len(self._controllers)):
                for _ in range(50):  # who fails for want of news tries again when there is some
                    if not await self.work(index):
                        break
                    busy = True
            for pod in self.api.all(PODS):
                if not spec(pod).get("nodeName"):
                    await self.bind(0)
            for index, pod in enumerate(self.api.all(PODS)):
                ready = any(item.get("status") == "True" for item in pod["status"].get("conditions") or ())
                if metadata(pod).get("deletionTimestamp") or (is_active(pod) and not ready):
                    await self.kubelet(_place(self.api, index))
            self.now += 1
            if len(self.api.log) == before and not busy:
                return
        raise AssertionError(f"still busy after {rounds} rounds: {self.api.log[-6:]}")

    def active(self, **wanted: str) -> list[Object]:
        return [pod for pod in self.api.all(PODS) if is_active(pod) and wanted.items() <= labels(pod).items()]

    async def add_node(self, number: int, **more: Any) -> None:
        meta = {"name": f"n{number}", "labels": {"kubernetes.io/hostname": f"n{number}"}}
        await self.api.create(NODES, {"metadata": meta, "spec": {}, **more})


def _place(api: Api, index: int) -> int:
    """Of the pod at the index among all, its index among those that are bound."""
    return sum(bool(spec(pod).get("nodeName")) for pod in api.all(PODS)[:index])


def _pinned(pod: Object) -> str | None:
    from panal.controlplane.scheduler.matching import pinned_node

    return pinned_node(pod)


class Silent:
    def event(self, *what: Any, **how: Any) -> None:
        return None


def run(history: Callable[[], Any]) -> None:
    """A history, on a loop of its own."""
    asyncio.run(history())
