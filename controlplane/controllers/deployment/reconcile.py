"""Rolls Deployments out: reads informers, asks `decide`, performs its actions."""

from __future__ import annotations

from typing import assert_never

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.informer import Deleted, Delta
from panal.resources import DEPLOYMENTS, PODS, REPLICASETS

from ..claims import selector_of
from ..context import Context, by_owner
from ..meta import (
    Key,
    Object,
    controller_of,
    is_controlled_by,
    name,
    namespace,
    status,
    uid,
    with_condition,
)
from ..owned import Owned
from ..podcontrol import is_terminating
from . import decide, progress
from .revisions import REVISION, same_template, template_of


class Deployments:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("deployment-controller")
        self._pods_by_owner = informers.index(PODS, by_owner)
        self._pods = informers.of(PODS)
        self._controller: Controller[Key] = Controller("deployment", self.reconcile, workers=8)
        self._owned = Owned(context, DEPLOYMENTS, self._controller.queue, owned=REPLICASETS)
        self._pods.subscribe(self._on_pod)

    async def run(self) -> None:
        await self._context.ready(self._owned.owners, self._owned.objects, self._pods)
        await self._controller.run()

    def _on_pod(self, delta: Delta) -> None:
        """The end of a pod lets a Recreate go on."""
        if not isinstance(delta, Deleted):
            return
        reference = controller_of(delta.old)
        if reference is not None and reference.get("kind") == "ReplicaSet":
            rs = self._owned.objects.get(namespace(delta.old), str(reference.get("name")))
            if rs is not None and (which := self._owned.owner_of(rs)) is not None:
                self._controller.queue.add(which)

    async def reconcile(self, which: Key) -> float | None:
        deployment = self._owned.owners.get(*which)
        if deployment is None:
            return None
        if selector_of(deployment).empty:
            self._events.event(
                deployment,
                "Warning",
                "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.",
            )
            return None
        sets = await self._owned.claim(deployment)
        pods = {name(rs): self._pods_by_owner.get(("owner", uid(rs))) for rs in sets}
        for action in decide.decide(deployment, sets, pods, self._context.now()):
            deployment = await self._perform(deployment, action)
        return progress.look_again(deployment, status(deployment), self._context.now())

    async def _perform(self, deployment: Object, action: decide.Action) -> Object:
        """Do one thing; the Deployment as it is afterwards."""
        client = self._context.client
        match action:
            case decide.CreateSet(new, size):
                return await self._create(deployment, new, size)
            case decide.UpdateSet(new, was, size):
                await client.update(REPLICASETS, new)
                if was != size:
                    self._tell_scaled(deployment, name(new), was, size)
            case decide.DeleteSet(old):
                try:
                    await client.delete(REPLICASETS, name(old), namespace(old), uid=uid(old))
                except NotFound:
                    pass
            case decide.SetRevision(revision):
                patch = {"metadata": {"uid": uid(deployment), "annotations": {REVISION: revision}}}
                return await client.patch(DEPLOYMENTS, name(deployment), patch, namespace(deployment))
            case decide.UpdateStatus(wanted):
                return await client.update_status(DEPLOYMENTS, {**deployment, "status": wanted})
            case _:
                assert_never(action)
        return deployment

    async def _create(self, deployment: Object, new: Object, size: int) -> Object:
        client = self._context.client
        try:
            await client.create(REPLICASETS, new, namespace(deployment))
        except AlreadyExists:
            return await self._collided(deployment, new)
        except StatusError as error:
            if not is_terminating(error):
                await self._tell_failure(deployment, new, error)
            raise
        if size > 0:
            self._tell_scaled(deployment, name(new), 0, size)
        return deployment

    async def _collided(self, deployment: Object, new: Object) -> Object:
        """The name is taken: by our own set that the informer has not shown yet, or by a stranger's."""
        live = await self._context.client.get(REPLICASETS, name(new), namespace(new))
        if is_controlled_by(live, deployment) and same_template(template_of(live), template_of(new)):
            return deployment
        collisions = int(status(deployment).get("collisionCount") or 0) + 1
        wanted = {**status(deployment), "collisionCount": collisions}
        await self._context.client.update_status(DEPLOYMENTS, {**deployment, "status": wanted})
        raise AlreadyExists(f'replicasets.apps "{name(new)}" already exists')

    async def _tell_failure(self, deployment: Object, new: Object, error: StatusError) -> None:
        message = f'Failed to create new replica set "{name(new)}": {error.message}'
        self._events.event(deployment, "Warning", "ReplicaSetCreateError", message)
        if progress.has_deadline(deployment):
            said = progress.progressing("False", "ReplicaSetCreateError", error.message, self._context.now())
            conditions = with_condition(status(deployment).get("conditions"), said)
            wanted = {**status(deployment), "conditions": conditions}
            await self._context.client.update_status(DEPLOYMENTS, {**deployment, "status": wanted})

    def _tell_scaled(self, deployment: Object, which: str, was: int, size: int) -> None:
        verb = "up" if size > was else "down"
        message = f"Scaled {verb} replica set {which} from {was} to {size}"
        self._events.event(deployment, "Normal", "ScalingReplicaSet", message)
