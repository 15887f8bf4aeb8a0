"""Keeps the pods of ReplicaSets and ReplicationControllers: reads informers, asks `decide`, acts."""

from __future__ import annotations

import time
from collections.abc import Sequence

from panal.controllers import Controller
from panal.errors import NotFound, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import PODS, REPLICASETS, REPLICATIONCONTROLLERS, Resource

from ..context import Context, by_namespace, by_owner, same_uid
from ..expectations import Expectations
from ..meta import Key, Object, controller_of, is_deleting, key, labels, name, namespace, spec, status, uid
from ..podcontrol import Failure, PodControl, is_terminating
from ..pods import is_active, next_available
from . import decide


class ReplicaSets:
    """The loop for one resource of the kind `replicas` pods of a template."""

    resource: Resource = REPLICASETS
    component = "replicaset-controller"

    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._pods_by_owner = informers.index(PODS, by_owner)
        self._sets_by_owner = informers.index(self.resource, by_owner)
        self._sets_by_namespace = informers.index(self.resource, by_namespace)
        self._sets = informers.of(self.resource)
        self._pods = informers.of(PODS)
        self._control = PodControl(context.client, context.recorder(self.component))
        self._expectations: Expectations[Key] = Expectations()
        self._controller: Controller[Key] = Controller(self.resource.singular, self.reconcile, workers=8)
        self._sets.subscribe(self._on_set)
        self._pods.subscribe(self._on_pod)

    async def run(self) -> None:
        await self._context.ready(self._sets, self._pods)
        await self._controller.run()

    def _on_set(self, delta: Delta) -> None:
        obj = delta.new if isinstance(delta, Applied) else delta.old
        self._controller.queue.add(key(obj))

    def _on_pod(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                if old is not None and old["metadata"].get("ownerReferences") != new["metadata"].get("ownerReferences"):
                    self._touch(old)
                owner = self._touch(new)
                if owner is not None and old is None:
                    self._expectations.created(owner)
                if owner is not None and is_deleting(new):
                    self._expectations.deleted(owner, uid(new))
            case Deleted(old):
                if (owner := self._touch(old)) is not None:
                    self._expectations.deleted(owner, uid(old))

    def _touch(self, pod: Object) -> Key | None:
        """Queue the pod's owner, or, for an orphan, all who might adopt it. Returns the owner's key."""
        reference = controller_of(pod)
        if reference is None:
            for rs in self._sets_by_namespace.get(namespace(pod)):
                if decide.selector_of(rs).matches(labels(pod)):
                    self._controller.queue.add(key(rs))
            return None
        if reference.get("kind") != self.resource.kind:
            return None
        owner = namespace(pod), str(reference.get("name"))
        found = self._sets.get(*owner)
        if found is not None and uid(found) != reference.get("uid"):
            return None
        self._controller.queue.add(owner)
        return owner

    async def reconcile(self, which: Key) -> float | None:
        rs = self._sets.get(*which)
        if rs is None:
            self._expectations.forget(which)
            return None
        pods = await self._claim(rs)
        now = self._context.now()
        failure: Failure | None = None
        if self._expectations.satisfied(which, time.monotonic()):
            plan = decide.plan(rs, pods, self._related(rs, pods), now)
            failure = await self._act(which, rs, plan)
            if failure is None and (plan.create or plan.delete):
                return None  # the pods' own events bring the next look, which writes the status
        await self._write_status(rs, pods, now, failure)
        if failure is not None and not (isinstance(failure, StatusError) and is_terminating(failure)):
            raise failure
        return next_available(
            [pod for pod in pods if is_active(pod)], spec(rs).get("minReadySeconds") or 0, self._context.now()
        )

    def _related(self, rs: Object, pods: Sequence[Object]) -> Sequence[Object]:
        reference = controller_of(rs)
        if reference is None:
            return pods
        siblings = self._sets_by_owner.get(("owner", reference.get("uid")))
        return [pod for sibling in siblings for pod in self._pods_by_owner.get(("owner", uid(sibling)))]

    async def _claim(self, rs: Object) -> list[Object]:
        """The set's pods, after adopting and releasing."""
        candidates = self._pods_by_owner.get(("owner", uid(rs)))
        candidates += self._pods_by_owner.get(("orphan", namespace(rs)))
        claim = decide.claim(rs, candidates)
        owned = list(claim.owned)
        if claim.adopt and await self._still_there(rs):
            for pod in claim.adopt:
                patch = decide.adoption_patch(rs, pod, self.resource.api_version, self.resource.kind)
                try:
                    owned.append(await self._context.client.patch(PODS, name(pod), patch, namespace(pod)))
                except NotFound:
                    continue
        for pod in claim.release:
            try:
                await self._context.client.patch(PODS, name(pod), decide.release_patch(rs, pod), namespace(pod))
            except NotFound:
                continue
        return owned

    async def _still_there(self, rs: Object) -> bool:
        """Asks the API itself before adopting: the informer may be behind a deletion."""
        try:
            live = await self._context.client.get(self.resource, name(rs), namespace(rs))
        except NotFound:
            return False
        return same_uid(live, uid(rs)) and not is_deleting(live)

    async def _act(self, which: Key, rs: Object, plan: decide.Plan) -> Failure | None:
        failure: Failure | None = None
        if plan.create:
            pods = [decide.new_pod(rs, self.resource.api_version, self.resource.kind)] * plan.create
            self._expectations.expect(which, time.monotonic(), creations=plan.create)
            made, failure = await self._control.create(rs, pods)
            self._expectations.created(which, plan.create - made)
        elif plan.delete:
            self._expectations.expect(which, time.monotonic(), deletions=[uid(pod) for pod in plan.delete])
            failed, failure = await self._control.delete(rs, plan.delete)
            for pod in failed:
                self._expectations.deleted(which, uid(pod))
        return failure

    async def _write_status(self, rs: Object, pods: Sequence[Object], now: float, failure: Failure | None) -> None:
        said = None
        if failure is not None:
            short = sum(is_active(pod) for pod in pods) < decide.replicas(rs)
            said = ("FailedCreate" if short else "FailedDelete", str(failure))
        wanted = decide.new_status(rs, pods, now, said)
        if wanted != status(rs):
            try:
                await self._context.client.update_status(self.resource, {**rs, "status": wanted})
            except NotFound:
                return


class ReplicationControllers(ReplicaSets):
    resource = REPLICATIONCONTROLLERS
    component = "replication-controller"
