"""Runs StatefulSets: keeps their revisions, claims, pods and status as `decide` says."""

from __future__ import annotations

import time
from collections.abc import Sequence

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.resources import CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS

from ..context import Context, by_owner
from ..meta import Key, Object, is_deleting, labels, name, namespace, spec, status, uid
from ..owned import Owned
from ..podcontrol import is_terminating
from ..pods import next_available
from ..revisions import HASH, find_equal, new_revision, number, surplus
from . import decide, retention


class StatefulSets:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("statefulset-controller")
        self._revisions_by_owner = informers.index(CONTROLLERREVISIONS, by_owner)
        self._revisions = informers.of(CONTROLLERREVISIONS)
        self._claimed: dict[str, tuple[retention.Policy, range, frozenset[int]]] = {}
        """By uid of the set: policy, ordinals and pods whose claims say with whom they go."""
        self._controller: Controller[Key] = Controller("statefulset", self.reconcile, workers=4)
        self._owned = Owned(context, STATEFULSETS, self._controller.queue, fits=decide.is_named_for)

    async def run(self) -> None:
        await self._context.ready(self._owned.owners, self._owned.objects, self._revisions)
        await self._controller.run()

    async def reconcile(self, which: Key) -> float | None:
        owner = self._owned.owners.get(*which)
        if owner is None or is_deleting(owner) or not self._owned.satisfied(which):
            return None
        pods = await self._owned.claim(owner)
        revisions = await self._revise(owner, pods)
        now = self._context.now()
        try:
            await self._keep_claims(owner, pods)
            await self._act(which, owner, decide.plan(owner, pods, revisions, now), revisions)
        except StatusError as error:
            if is_terminating(error):
                return None
            raise
        wanted = decide.new_status(owner, pods, revisions, now)
        if wanted != status(owner):
            await self._context.client.update_status(STATEFULSETS, {**owner, "status": wanted})
        return next_available(pods, int(spec(owner).get("minReadySeconds") or 0), self._context.now())

    async def _revise(self, owner: Object, pods: Sequence[Object]) -> decide.Revisions:
        client = self._context.client
        known = self._revisions_by_owner.get(("owner", uid(owner)))
        newest = max((number(item) for item in known), default=0)
        update = find_equal(known, owner)
        if update is None:
            collisions = status(owner).get("collisionCount")
            wanted = new_revision(
                owner, "apps/v1", "StatefulSet", newest + 1, collisions, hash_label=decide.REVISION_HASH
            )
            try:
                update = await client.create(CONTROLLERREVISIONS, wanted, namespace(owner))
            except AlreadyExists:
                update = await client.get(CONTROLLERREVISIONS, name(wanted), namespace(owner))
        elif number(update) < newest:
            update = await client.update(CONTROLLERREVISIONS, {**update, "revision": newest + 1})
        said = status(owner).get("currentRevision")
        current = next((item for item in known if name(item) == said), update)
        live = {labels(pod).get(HASH, "") for pod in pods} | {name(current), name(update)}
        limit = spec(owner).get("revisionHistoryLimit")
        for old in surplus(known, live, 10 if limit is None else limit):
            try:
                await client.delete(CONTROLLERREVISIONS, name(old), namespace(old), uid=uid(old))
            except NotFound:
                continue
        return decide.Revisions(current, update)

    async def _act(self, which: Key, owner: Object, plan: decide.Plan, revisions: decide.Revisions) -> None:
        now = time.monotonic()
        for ordinal in plan.create:
            await self._claim_storage(owner, ordinal)
            pod = decide.new_pod(owner, ordinal, decide.revision_for(owner, ordinal, revisions))
            self._owned.expectations.expect(which, now, creations=1)
            try:
                await self._context.client.create(PODS, pod, namespace(owner))
            except StatusError as error:
                self._owned.expectations.created(which)
                if isinstance(error, AlreadyExists) or is_terminating(error):
                    raise
                self._tell(owner, "Warning", "FailedCreate", "create", pod, f"failed error: {error.message}")
                raise
            except BaseException:
                self._owned.expectations.created(which)
                raise
            self._tell(owner, "Normal", "SuccessfulCreate", "create", pod, "successful")
        for pod in plan.delete:
            self._owned.expectations.expect(which, now, deletions=[uid(pod)])
            try:
                await self._context.client.delete(PODS, name(pod), namespace(pod), uid=uid(pod))
            except NotFound:
                self._owned.expectations.deleted(which, uid(pod))
                continue
            except BaseException:
                self._owned.expectations.deleted(which, uid(pod))
                raise
            self._tell(owner, "Normal", "SuccessfulDelete", "delete", pod, "successful")

    async def _claim_storage(self, owner: Object, ordinal: int) -> None:
        for claim in decide.claims(owner, ordinal):
            if references := retention.owners(owner, ordinal, None):
                claim["metadata"]["ownerReferences"] = references
            try:
                await self._context.client.create(PERSISTENTVOLUMECLAIMS, claim, namespace(owner))
            except AlreadyExists:
                continue
            said = f"create Claim {name(claim)} Pod {name(owner)}-{ordinal} in StatefulSet {name(owner)} success"
            self._events.event(owner, "Normal", "SuccessfulCreate", said)

    async def _keep_claims(self, owner: Object, pods: Sequence[Object]) -> None:
        """Say on each claim with whom it goes, when the set's size or policy has changed since the last look."""
        if not spec(owner).get("volumeClaimTemplates"):
            return
        numbers = frozenset(number for pod in pods if (number := decide.ordinal(owner, pod)) is not None)
        now = retention.policy(owner), decide.ordinals(owner), numbers
        before = self._claimed.get(uid(owner))
        if before == now or (before is None and now[0] == (False, False)):
            return
        placed = {decide.ordinal(owner, pod): pod for pod in pods}
        for number in sorted(numbers):
            for claim in decide.claims(owner, number):
                try:
                    live = await self._context.client.get(PERSISTENTVOLUMECLAIMS, name(claim), namespace(owner))
                except NotFound:
                    continue
                wanted = retention.renewed(owner, live, number, placed.get(number))
                if wanted is not None:
                    await self._context.client.update(PERSISTENTVOLUMECLAIMS, wanted)
        self._claimed[uid(owner)] = now

    def _tell(self, owner: Object, kind: str, reason: str, verb: str, pod: Object, how: str) -> None:
        self._events.event(owner, kind, reason, f"{verb} Pod {name(pod)} in StatefulSet {name(owner)} {how}")
