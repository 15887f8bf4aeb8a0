"""Watches the metadata of every resource and carries out what `decide` says of objects whose owners go.

Resources that other controllers watch anyway are followed from the start; the rest one after the other a little
later, so that the start of a cluster is not spent on resources nobody has used yet. Foreground and orphaning
deletions wait until all are followed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, assert_never

from panal.client import Unreachable
from panal.controllers import Controller
from panal.errors import Conflict, NotFound, StatusError
from panal.informer import Applied, Deleted, Delta, Informer
from panal.resources import Resource, by_kind

from ..context import Context
from ..discovered import resources
from ..meta import Object, metadata, uid
from . import decide
from .graph import Graph, Node, Owner, node_of

IGNORED = frozenset(
    {("", "events"), ("events.k8s.io", "events"), ("metrics.k8s.io", "pods"), ("metrics.k8s.io", "nodes")}
)
"""Nothing owns or is owned by these."""
QUIET = 3.0
"""Seconds after the start before the rarely used resources are followed."""
STEP = 0.02
"""Seconds between one of them and the next."""
SYNC_PATIENCE = 30.0
"""Seconds to wait for a resource that does not answer before going on without it."""
_KEPT = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp")
_log = logging.getLogger(__name__)


def only_metadata(obj: Object) -> Object:
    meta = metadata(obj)
    return {"metadata": {field: meta[field] for field in _KEPT if field in meta}}


class Garbage:
    def __init__(self, context: Context, *, quiet: float = QUIET) -> None:
        self._context = context
        self._quiet = quiet
        self._graph = Graph()
        self._followed: dict[tuple[str, str], Informer] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        """By (group, kind), for owner references."""
        self._complete = asyncio.Event()
        self._changed = asyncio.Event()
        self._controller: Controller[str] = Controller("garbage-collector", self.reconcile, workers=8)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._controller.run(), name="garbage-collector")
            group.create_task(self._follow_all(group), name="garbage-collector-monitors")

    async def _follow_all(self, group: asyncio.TaskGroup) -> None:
        known = await self._discover()
        for resource in known:
            if self._context.informers.known(_plain(resource)) is not None:
                self._follow(resource, group)
        await asyncio.sleep(self._quiet)
        while True:
            self._changed.clear()
            renewed = False
            for resource in await self._discover():
                if self._follow(resource, group):
                    renewed = True
                    await asyncio.sleep(STEP)
            await self._synced()
            self._complete.set()
            if renewed:
                self._queue(self._graph.ownerless())  # whose owner went before its kind was followed
            await self._changed.wait()
            await asyncio.sleep(0.5)  # a custom resource appears in discovery a moment after its definition

    async def _discover(self) -> list[Resource]:
        """Resources that can be owned or owners, and forget those that are gone."""
        delay = 0.05
        while True:
            try:
                found = await resources(self._context.client)
                break
            except (StatusError, Unreachable) as error:
                _log.debug("discovery: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
        wanted = [
            item
            for item in found
            if (item.group, item.plural) not in IGNORED and {"list", "watch", "delete"} <= set(item.verbs)
        ]
        self._kinds = {(item.group, item.kind): item for item in found}
        for gone in set(self._followed) - {(item.group, item.plural) for item in wanted}:
            self._forget(gone)
        return wanted

    def _forget(self, gone: tuple[str, str]) -> None:
        informer = self._followed.pop(gone)
        if (task := self._tasks.pop(gone, None)) is not None:
            task.cancel()
        for obj in list(informer.all()):
            self._queue(self._graph.remove(uid(obj)))

    def _follow(self, resource: Resource, group: asyncio.TaskGroup) -> bool:
        """Begin to follow the resource; False if it is followed, or followed by others, already."""
        where = resource.group, resource.plural
        if (known := self._followed.get(where)) is not None:
            if where not in self._tasks or known.resource.version == resource.version:
                return False
            self._forget(where)  # a custom kind has another version now
        shared = self._context.informers.known(_plain(resource))
        informer = shared
        if informer is None:
            informer = Informer(self._context.client, resource, transform=only_metadata)
        self._followed[where] = informer
        informer.subscribe(partial(self._on, resource))
        if shared is None:
            self._tasks[where] = group.create_task(informer.run(), name=f"metadata of {resource.group_resource}")
        return shared is None

    async def _synced(self) -> None:
        try:
            async with asyncio.timeout(SYNC_PATIENCE):
                for informer in list(self._followed.values()):
                    await informer.synced()
        except TimeoutError:
            late = [item.resource.group_resource for item in self._followed.values() if not item.has_synced]
            _log.warning("going on without %s", ", ".join(late))

    def _on(self, resource: Resource, delta: Delta) -> None:
        match delta:
            case Applied(new, _):
                self._queue(self._graph.observe(node_of(resource, new)))
            case Deleted(old):
                self._queue(self._graph.remove(uid(old)))
        if resource.plural == "customresourcedefinitions":
            self._changed.set()

    def _queue(self, look: Iterable[str]) -> None:
        for item in look:
            self._controller.queue.add(item)

    async def reconcile(self, which: str) -> float | None:
        node = self._graph.get(which)
        if node is None:
            return None
        action = decide.decide(self._graph, node)
        if isinstance(action, decide.AskOwners):
            latest = await self._latest(node)
            if latest is None:
                return None
            node = node_of(node.resource, latest)
            fates = await self._fates(node)
            action = decide.decide_by_owners(self._graph, node, fates)
        elif action is not None and not self._complete.is_set():
            return 0.25
        try:
            await self._perform(node, action)
        except NotFound:
            return None
        return None

    async def _fates(self, node: Node) -> dict[str, decide.Fate]:
        known = decide.known_fates(self._graph, node)
        return {owner.uid: known[owner.uid] or await self._ask(node, owner) for owner in node.owners}

    async def _ask(self, node: Node, owner: Owner) -> decide.Fate:
        """The API's own word on an owner the graph does not have. An unknown kind counts as present: better keep
        than lose.
        """
        group = owner.api_version.rpartition("/")[0]
        resource = self._kinds.get((group, owner.kind)) or by_kind(owner.api_version, owner.kind)
        if resource is None or (resource.namespaced and not node.namespace):
            return "here"
        try:
            found = await self._context.client.get(
                resource, owner.name, node.namespace if resource.namespaced else None
            )
        except NotFound:
            return "gone"
        if uid(found) != owner.uid:
            return "gone"
        return "waiting" if node_of(resource, found).deletes_dependents else "here"

    async def _latest(self, node: Node) -> Object | None:
        try:
            found = await self._context.client.get(node.resource, node.name, node.namespace or None)
        except NotFound:
            return None
        return found if uid(found) == node.uid else None

    async def _perform(self, node: Node, action: decide.Action | None) -> None:
        match action:
            case None | decide.AskOwners():
                return
            case decide.LookAt(uids):
                self._queue(uids)
            case decide.RemoveFinalizer(finalizer):
                await self._drop_finalizer(node, finalizer)
            case decide.DropOwners(uids):
                await self._drop_owners(node, uids)
            case decide.ReleaseDependents(dependents):
                for dependent in dependents:
                    await self._drop_owners(dependent, frozenset({node.uid}))
                await self._drop_finalizer(node, "orphan")
            case decide.Delete(propagation, unblock):
                for each in unblock:
                    await self._unblock(each)
                await self._delete(node, propagation)
            case _:
                assert_never(action)

    async def _delete(self, node: Node, propagation: str) -> None:
        await self._context.client.delete(
            node.resource, node.name, node.namespace or None, propagation=propagation, uid=node.uid
        )

    async def _change(self, node: Node, change: dict[str, Any], latest: Object) -> None:
        """A patch that applies only to the very object that was read."""
        guard = {"uid": node.uid, "resourceVersion": metadata(latest).get("resourceVersion")}
        patch = {"metadata": {**guard, **change}}
        await self._context.client.patch(node.resource, node.name, patch, node.namespace or None)

    async def _drop_owners(self, node: Node, uids: frozenset[str]) -> None:
        for _ in range(5):
            latest = await self._latest(node)
            if latest is None:
                return
            references = metadata(latest).get("ownerReferences") or []
            left = [item for item in references if item.get("uid") not in uids]
            if left == references:
                return
            try:
                await self._change(node, {"ownerReferences": left or None}, latest)
                return
            except Conflict:
                continue
        raise Conflict(f"{node.resource.group_resource} {node.name} keeps changing")

    async def _unblock(self, node: Node) -> None:
        if (latest := await self._latest(node)) is not None:
            references = [
                {**item, "blockOwnerDeletion": False} for item in metadata(latest).get("ownerReferences") or ()
            ]
            await self._change(node, {"ownerReferences": references}, latest)

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        latest = await self._latest(node)
        if latest is None:
            return
        finalizers = metadata(latest).get("finalizers") or []
        if finalizer in finalizers:
            left = [item for item in finalizers if item != finalizer]
            await self._change(node, {"finalizers": left or None}, latest)


def _plain(resource: Resource) -> Resource:
    """The same resource as the constants of panal.resources have it: discovery adds less detail."""
    return by_kind(resource.api_version, resource.kind) or resource
