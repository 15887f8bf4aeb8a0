"""Runs DaemonSets: reads nodes and pods from informers, asks `decide`, acts; keeps the revisions of their templates."""

from __future__ import annotations

import time
from collections.abc import Sequence

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.informer import Applied, Delta
from panal.resources import CONTROLLERREVISIONS, DAEMONSETS, NODES

from ..context import Context, by_owner
from ..meta import Key, Object, is_deleting, key, labels, name, namespace, spec, status, uid
from ..owned import Owned
from ..podcontrol import Failure, PodControl, is_terminating
from ..pods import next_available, phase
from ..revisions import HASH, find_equal, new_revision, number, surplus
from . import decide

FAILED_BACKOFF_FIRST, FAILED_BACKOFF_MOST = 1.0, 900.0
"""Seconds before a daemon that ended by itself is replaced: doubling a node."""


class DaemonSets:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("daemonset-controller")
        self._revisions_by_owner = informers.index(CONTROLLERREVISIONS, by_owner)
        self._nodes = informers.of(NODES)
        self._revisions = informers.of(CONTROLLERREVISIONS)
        self._control = PodControl(context.client, self._events)
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}
        """By (uid of the set, node): how often its daemon ended, and when it may be replaced."""
        self._controller: Controller[Key] = Controller("daemonset", self.reconcile, workers=4)
        self._owned = Owned(context, DAEMONSETS, self._controller.queue)
        self._nodes.subscribe(self._on_node)

    async def run(self) -> None:
        await self._context.ready(self._owned.owners, self._owned.objects, self._nodes, self._revisions)
        await self._controller.run()

    def _on_node(self, delta: Delta) -> None:
        """Heartbeats change nothing here: only labels, taints and the node's coming and going do."""
        if isinstance(delta, Applied) and delta.old is not None:
            old, new = delta.old, delta.new
            if labels(old) == labels(new) and spec(old) == spec(new):
                return
        for daemon in self._owned.owners.all():
            self._controller.queue.add(key(daemon))

    async def reconcile(self, which: Key) -> float | None:
        daemon = self._owned.owners.get(*which)
        if daemon is None or is_deleting(daemon):
            return None
        seen_all = self._owned.satisfied(which)
        pods = await self._owned.claim(daemon)
        digest = await self._revise(daemon, pods)
        nodes = {name(node): node for node in self._nodes.all()}
        failure: Failure | None = None
        wait: float | None = None
        if seen_all:
            now = self._context.now()
            plan = decide.place(daemon, nodes, pods, digest, now)
            plan, wait = self._hold_back(daemon, plan)
            if not plan.create and not plan.delete:
                plan = decide.roll(daemon, nodes, pods, digest, now)
            new = [decide.new_pod(daemon, node, digest) for node in plan.create]
            failure = await self._owned.perform(which, daemon, self._control, new, plan.delete)
        await self._write_status(daemon, nodes, pods, digest)
        if failure is not None and not (isinstance(failure, StatusError) and is_terminating(failure)):
            raise failure
        soon = next_available(pods, spec(daemon).get("minReadySeconds") or 0, self._context.now())
        return min((seconds for seconds in (wait, soon) if seconds is not None), default=None)

    def _hold_back(self, daemon: Object, plan: decide.Plan) -> tuple[decide.Plan, float | None]:
        """Daemons that keep ending are replaced ever more slowly; the rest of the plan, and when to look again."""
        now, wait, held = time.monotonic(), None, set()
        for ended in plan.failed:
            where = uid(daemon), decide.node_of(ended.pod) or ""
            count, until = self._failures.get(where, (0, 0.0))
            if now < until:
                held.add(uid(ended.pod))
                wait = min(wait or until - now, until - now)
                continue
            delay = min(FAILED_BACKOFF_FIRST * 2 ** min(count, 20), FAILED_BACKOFF_MOST)
            self._failures[where] = count + 1, now + delay
            did = "failed" if phase(ended.pod) == "Failed" else "succeeded"
            found = f"{namespace(ended.pod)}/{name(ended.pod)} on node {where[1]}"
            message = f"Found {did} daemon pod {found}, will try to kill it"
            kind = "Warning" if did == "failed" else "Normal"
            self._events.event(daemon, kind, f"{did.capitalize()}DaemonPod", message)
        kept = tuple(pod for pod in plan.delete if uid(pod) not in held)
        return decide.Plan(plan.create, kept), wait

    async def _revise(self, daemon: Object, pods: Sequence[Object]) -> str:
        """The hash of the present template's revision, which is made, renewed or found; old ones go."""
        client = self._context.client
        revisions = self._revisions_by_owner.get(("owner", uid(daemon)))
        newest = max((number(item) for item in revisions), default=0)
        current = find_equal(revisions, daemon)
        if current is None:
            wanted = new_revision(daemon, "apps/v1", "DaemonSet", newest + 1, status(daemon).get("collisionCount"))
            current = await self._keep(daemon, wanted)
        elif number(current) < newest:
            current = await client.update(CONTROLLERREVISIONS, {**current, "revision": newest + 1})
        used = {labels(pod).get(HASH) for pod in pods}
        live = {name(item) for item in revisions if labels(item).get(HASH) in used} | {name(current)}
        limit = spec(daemon).get("revisionHistoryLimit")
        for old in surplus(revisions, live, 10 if limit is None else limit):
            try:
                await client.delete(CONTROLLERREVISIONS, name(old), namespace(old), uid=uid(old))
            except NotFound:
                continue
        return labels(current).get(HASH, "")

    async def _keep(self, daemon: Object, wanted: Object) -> Object:
        client = self._context.client
        try:
            return await client.create(CONTROLLERREVISIONS, wanted, namespace(daemon))
        except AlreadyExists:
            live = await client.get(CONTROLLERREVISIONS, name(wanted), namespace(daemon))
            if find_equal([live], daemon) is not None:
                return live
            collisions = int(status(daemon).get("collisionCount") or 0) + 1
            changed = {**status(daemon), "collisionCount": collisions}
            await client.update_status(DAEMONSETS, {**daemon, "status": changed})
            raise

    async def _write_status(
        self, daemon: Object, nodes: dict[str, Object], pods: Sequence[Object], digest: str
    ) -> None:
        wanted = decide.new_status(daemon, nodes, pods, digest, self._context.now())
        if wanted != status(daemon):
            await self._context.client.update_status(DAEMONSETS, {**daemon, "status": wanted})
