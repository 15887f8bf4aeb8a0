"""Empties namespaces that are being deleted: every resource that discovery knows, then the finalizer."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson

from panal.client import Unreachable
from panal.controllers import Controller
from panal.errors import Conflict, MethodNotSupported, NotFound, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import NAMESPACES, PODS, Resource

from ..context import Context
from ..discovered import resources
from ..meta import Object, is_deleting, key, metadata, name, namespace, spec, status
from . import decide

AT_ONCE = 8
"""Resources emptied in parallel."""
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Namespaces:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.informers.of(NAMESPACES)
        self._pods = context.informers.of(PODS)
        self._attempts: Counter[str] = Counter()
        self._controller: Controller[str] = Controller("namespace", self.reconcile, workers=4)
        self._namespaces.subscribe(self._on_namespace)
        self._pods.subscribe(self._on_pod)

    async def run(self) -> None:
        await self._context.ready(self._namespaces, self._pods)
        await self._controller.run()

    def _on_namespace(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _) if decide.must_finalize(new):
                self._controller.queue.add(name(new))
            case Deleted(old):
                self._attempts.pop(name(old), None)

    def _on_pod(self, delta: Delta) -> None:
        """The end of a pod in an ending namespace may have been the last thing it waited for."""
        if isinstance(delta, Deleted):
            found = self._namespaces.get("", namespace(delta.old))
            if found is not None and decide.must_finalize(found):
                self._controller.queue.add(name(found))

    async def reconcile(self, which: str) -> float | None:
        found = self._namespaces.get("", which)
        if found is None or not decide.must_finalize(found):
            return None
        client = self._context.client
        if status(found).get("phase") != "Terminating":
            found = await client.update_status(
                NAMESPACES, {**found, "status": {**status(found), "phase": "Terminating"}}
            )
        left = await self._empty(which)
        wanted = decide.new_status(found, left, self._context.now())
        try:
            if wanted != status(found):
                found = await client.update_status(NAMESPACES, {**found, "status": wanted})
            if left.empty:
                await client.update(NAMESPACES, decide.finalized(found), subresource="finalize")
                return None
        except NotFound:
            return None
        except Conflict:
            return 0.0
        attempt = self._attempts[which]
        self._attempts[which] += 1
        return decide.wait(attempt, left, self._longest_grace(which))

    def _longest_grace(self, which: str) -> float:
        here = [pod for pod in self._pods.all() if namespace(pod) == which]
        return max((float(spec(pod).get("terminationGracePeriodSeconds") or 0) for pod in here), default=0.0)

    async def _empty(self, which: str) -> decide.Remaining:
        """One round: delete the content of every resource, and look what is left."""
        try:
            known = await resources(self._context.client)
        except StatusError as error:
            return decide.Remaining({}, {}, undiscovered=[str(error)])
        deletable = [item for item in known if item.namespaced and {"list", "delete"} <= set(item.verbs)]
        limit = asyncio.Semaphore(AT_ONCE)
        counts: dict[str, int] = {}
        finalizers: Counter[str] = Counter()
        failures: list[str] = []

        async def one(resource: Resource) -> None:
            async with limit:
                try:
                    left = await self._clear(resource, which)
                except NotFound:
                    return
                except (StatusError, Unreachable) as error:
                    failures.append(f"{resource.group_resource}: {error}")
                    return
            if left:
                counts[f"{resource.plural}.{resource.group}"] = len(left)
                finalizers.update(item for obj in left for item in metadata(obj).get("finalizers") or ())

        async with asyncio.TaskGroup() as group:
            for resource in deletable:
                group.create_task(one(resource), name=f"empty {which} {resource.group_resource}")
        return decide.Remaining(counts, dict(finalizers), sorted(failures))

    async def _clear(self, resource: Resource, which: str) -> list[Object]:
        """Delete all objects of the resource in the namespace; those that are left, as metadata."""
        here = await self._list(resource, which)
        if not any(not is_deleting(item) for item in here):
            return here
        options = orjson.dumps({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
        headers = {"Content-Type": "application/json"}
        client = self._context.client
        try:
            if "deletecollection" not in resource.verbs:
                raise MethodNotSupported("deletecollection")
            await client.request("DELETE", resource.path(which), body=options, headers=headers)
        except MethodNotSupported:
            for item in here:
                try:
                    await client.delete(resource, key(item)[1], which, propagation="Background")
                except NotFound:
                    continue
        return await self._list(resource, which)

    async def _list(self, resource: Resource, which: str) -> list[Object]:
        answer: dict[str, Any] = orjson.loads(
            await self._context.client.request("GET", resource.path(which), headers={"Accept": PARTIAL})
        )
        return answer.get("items") or []
