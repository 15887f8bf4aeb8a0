"""Keeps the pods of ReplicaSets and ReplicationControllers: reads informers, asks `decide`, acts."""

from __future__ import annotations

from collections.abc import Sequence

from panal.controllers import Controller
from panal.errors import NotFound, StatusError
from panal.resources import PODS, REPLICASETS, REPLICATIONCONTROLLERS, Resource

from ..context import Context, by_owner
from ..meta import Key, Object, controller_of, spec, status, uid
from ..owned import Owned
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
        self._control = PodControl(context.client, context.recorder(self.component))
        self._controller: Controller[Key] = Controller(self.resource.singular, self.reconcile, workers=8)
        self._owned = Owned(context, self.resource, self._controller.queue)

    async def run(self) -> None:
        await self._context.ready(self._owned.owners, self._owned.objects)
        await self._controller.run()

    async def reconcile(self, which: Key) -> float | None:
        rs = self._owned.owners.get(*which)
        if rs is None:
            return None
        seen_all = self._owned.satisfied(which)
        pods = await self._owned.claim(rs)
        now = self._context.now()
        failure: Failure | None = None
        if seen_all:
            plan = decide.plan(rs, pods, self._related(rs, pods), now)
            new = [decide.new_pod(rs, self.resource.api_version, self.resource.kind)] * plan.create
            failure = await self._owned.perform(which, rs, self._control, new, plan.delete)
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
