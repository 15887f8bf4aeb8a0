"""What belongs to whom: how every workload controller starts a look at one of its owners.

`Owned` watches the owners and what they own (pods; for a Deployment, ReplicaSets), queues the owner that a change
concerns, remembers what was asked for and not yet seen (`expectations`), and adopts and releases by selector.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from panal.errors import NotFound
from panal.informer import Applied, Deleted, Delta
from panal.resources import PODS, Resource
from panal.workqueue import WorkQueue

from .claims import adoption_patch, claim, release_patch, selector_of
from .context import Context, by_namespace, by_owner, same_uid
from .expectations import Expectations
from .meta import Key, Object, controller_of, is_deleting, key, labels, name, namespace, uid
from .podcontrol import Failure, PodControl


def anything(owner: Object, obj: Object) -> bool:
    """Every object of the namespace may belong to the owner."""
    return True


class Owned:
    """The objects of resource `owned` that owners of resource `owners` have, and the queue of these owners' keys.

    `fits(owner, obj)` may exclude orphans that match the selector. `finalizer` is put on what is adopted.
    """

    def __init__(
        self,
        context: Context,
        owners: Resource,
        queue: WorkQueue[Key],
        *,
        owned: Resource = PODS,
        fits: Callable[[Object, Object], bool] = anything,
        finalizer: str = "",
    ) -> None:
        informers = context.informers
        self._context = context
        self._resource = owners
        self._owned = owned
        self._queue = queue
        self._fits = fits
        self._finalizer = finalizer
        self._by_owner = informers.index(owned, by_owner)
        self._owners_in = informers.index(owners, by_namespace)
        self.owners = informers.of(owners)
        self.objects = informers.of(owned)
        self.expectations: Expectations[Key] = Expectations()
        self.owners.subscribe(self._on_owner)
        self.objects.subscribe(self._on_object)

    def of(self, owner: Object) -> list[Object]:
        """What the owner controls already."""
        return self._by_owner.get(("owner", uid(owner)))

    async def claim(self, owner: Object) -> list[Object]:
        """What the owner controls, after adopting orphans that match and releasing what no longer does."""
        orphans = [obj for obj in self._by_owner.get(("orphan", namespace(owner))) if self._fits(owner, obj)]
        found = claim(owner, self.of(owner) + orphans)
        owned, client = list(found.owned), self._context.client
        if found.adopt and await self._still_there(owner):
            for obj in found.adopt:
                patch = adoption_patch(owner, obj, self._resource.api_version, self._resource.kind, self._finalizer)
                try:
                    owned.append(await client.patch(self._owned, name(obj), patch, namespace(obj)))
                except NotFound:
                    continue
        for obj in found.release:
            try:
                patch = release_patch(owner, obj, self._finalizer)
                await client.patch(self._owned, name(obj), patch, namespace(obj))
            except NotFound:
                continue
        return owned

    async def _still_there(self, owner: Object) -> bool:
        """Asks the API itself before adopting: the informer may be behind a deletion."""
        try:
            live = await self._context.client.get(self._resource, name(owner), namespace(owner))
        except NotFound:
            return False
        return same_uid(live, uid(owner)) and not is_deleting(live)

    def satisfied(self, which: Key) -> bool:
        """Whether all that was asked for has been seen. Ask before reading the objects on which a plan rests: while one
        waits for the API, what was outstanding may arrive, and is not among those read.
        """
        return self.expectations.satisfied(which, time.monotonic())

    async def perform(
        self, which: Key, owner: Object, control: PodControl, create: Sequence[Object], delete: Sequence[Object] = ()
    ) -> Failure | None:
        """Create and delete pods of the owner, expecting to see it; the first failure."""
        if not create and not delete:
            return None
        doomed = [uid(pod) for pod in delete]
        self.expectations.expect(which, time.monotonic(), creations=len(create), deletions=doomed)
        made, failure = await control.create(owner, create) if create else (0, None)
        self.expectations.created(which, len(create) - made)
        unseen, other = await control.delete(owner, delete) if delete else ([], None)
        for pod in unseen:
            self.expectations.deleted(which, uid(pod))
        return failure or other

    def owner_of(self, obj: Object) -> Key | None:
        """The key of the object's owner, if that is, or may still be, of our resource."""
        reference = controller_of(obj)
        if reference is None or reference.get("kind") != self._resource.kind:
            return None
        owner = namespace(obj), str(reference.get("name"))
        found = self.owners.get(*owner)
        return None if found is not None and uid(found) != reference.get("uid") else owner

    def _on_owner(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _):
                self._queue.add(key(new))
            case Deleted(old):
                self.expectations.forget(key(old))
                self._queue.add(key(old))

    def _on_object(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                if old is not None and controller_of(old) != controller_of(new):
                    self._touch(old)
                owner = self._touch(new)
                if owner is not None and old is None:
                    self.expectations.created(owner)
                if owner is not None and is_deleting(new):
                    self.expectations.deleted(owner, uid(new))
            case Deleted(old):
                if (owner := self._touch(old)) is not None:
                    self.expectations.deleted(owner, uid(old))

    def _touch(self, obj: Object) -> Key | None:
        """Queue the object's owner, or, for an orphan, all who might adopt it. Returns the owner's key."""
        if controller_of(obj) is None:
            for owner in self._owners_in.get(namespace(obj)):
                if self._fits(owner, obj) and selector_of(owner).matches(labels(obj)):
                    self._queue.add(key(owner))
            return None
        if (which := self.owner_of(obj)) is not None:
            self._queue.add(which)
        return which
