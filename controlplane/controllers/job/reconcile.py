"""Runs Jobs: makes and counts their pods, and removes finished Jobs whose time to live is over."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import NotFound, StatusError
from panal.informer import Applied, Delta
from panal.resources import JOBS, PODS

from ..context import Context, same_uid
from ..meta import Key, Object, controller_of, is_deleting, metadata, name, namespace, status, uid
from ..owned import Owned
from ..podcontrol import PodControl, is_terminating
from . import decide
from .counting import TRACKED, is_tracked

POD = "pod/"
"""Marks a key in the queue as a pod's."""


class Jobs:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._events = context.recorder("job-controller")
        self._control = PodControl(context.client, self._events)
        self._controller: Controller[Key] = Controller("job", self.reconcile, workers=4)
        self._owned = Owned(context, JOBS, self._controller.queue, finalizer=TRACKED)
        self._owned.objects.subscribe(self._on_pod)

    async def run(self) -> None:
        await self._context.ready(self._owned.owners, self._owned.objects)
        for pod in self._owned.objects.all():
            self._on_pod(Applied(pod, pod))
        await self._controller.run()

    def _on_pod(self, delta: Delta) -> None:
        """A pod whose Job is gone is nobody's to count: queue it by its own key."""
        if not isinstance(delta, Applied) or not is_tracked(delta.new) or not self._owned.owners.has_synced:
            return
        if self._is_adrift(delta.new):
            self._controller.queue.add((f"{POD}{namespace(delta.new)}", name(delta.new)))

    def _is_adrift(self, pod: Object) -> bool:
        reference = controller_of(pod)
        if reference is None:
            return True
        if reference.get("kind") != "Job":
            return False
        return not same_uid(self._owned.owners.get(namespace(pod), str(reference.get("name"))), reference.get("uid"))

    async def reconcile(self, which: Key) -> float | None:
        if which[0].startswith(POD):
            await self._let_go(which[0].removeprefix(POD), which[1])
            return None
        job = self._owned.owners.get(*which)
        if job is None:
            return None
        if not decide.is_ours(job):
            return await self._expire(job)
        seen_all = self._owned.satisfied(which)
        pods = await self._owned.claim(job)
        plan = decide.plan(job, pods, self._context.now())
        if plan.status != status(job):
            await self._context.client.update_status(JOBS, {**job, "status": plan.status})
            if plan.event is not None:
                self._events.event(job, *plan.event)
        for pod in plan.release:
            await self._release(pod)
        if seen_all:
            new = [decide.new_pod(job, index, decide.replaced(job, pods, index)) for index in plan.create]
            failure = await self._owned.perform(which, job, self._control, new, plan.delete)
            if failure is not None and not (isinstance(failure, StatusError) and is_terminating(failure)):
                raise failure
        return plan.again if plan.again is not None else await self._expire(job)

    async def _let_go(self, where: str, which: str) -> None:
        """Asks the API itself: the informer of Jobs may be behind."""
        pod = self._owned.objects.get(where, which)
        if pod is None or not is_tracked(pod) or not self._is_adrift(pod):
            return
        reference = controller_of(pod)
        if reference is not None:
            try:
                job = await self._context.client.get(JOBS, str(reference.get("name")), where)
            except NotFound:
                job = None
            if same_uid(job, reference.get("uid")):
                return
        await self._release(pod)

    async def _release(self, pod: Object) -> None:
        left = [item for item in metadata(pod).get("finalizers") or () if item != TRACKED]
        patch = {"metadata": {"uid": uid(pod), "finalizers": left or None}}
        try:
            await self._context.client.patch(PODS, name(pod), patch, namespace(pod))
        except NotFound:
            return

    async def _expire(self, job: Object) -> float | None:
        """Seconds until the finished Job's time to live is over; it is removed when it is."""
        if (expiry := decide.expires(job)) is None or is_deleting(job):
            return None
        wait = expiry - self._context.now()
        if wait > 0:
            return wait
        try:
            await self._context.client.delete(JOBS, name(job), namespace(job), propagation="Foreground", uid=uid(job))
        except NotFound:
            pass
        return None
