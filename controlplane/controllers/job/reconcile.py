"""Runs Jobs: makes and counts their pods, and removes finished Jobs whose time to live is over."""

from __future__ import annotations

import time

from panal.controllers import Controller
from panal.errors import NotFound, StatusError
from panal.informer import Applied, Deleted, Delta
from panal.resources import JOBS, PODS

from ..context import Context, by_owner
from ..expectations import Expectations
from ..meta import Key, Object, controller_of, is_deleting, key, metadata, name, namespace, status, uid
from ..podcontrol import Failure, PodControl, is_terminating
from . import decide


class Jobs:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("job-controller")
        self._pods_by_owner = informers.index(PODS, by_owner)
        self._jobs = informers.of(JOBS)
        self._pods = informers.of(PODS)
        self._control = PodControl(context.client, self._events)
        self._expectations: Expectations[Key] = Expectations()
        self._controller: Controller[Key] = Controller("job", self.reconcile, workers=4)
        self._jobs.subscribe(self._on_job)
        self._pods.subscribe(self._on_pod)

    async def run(self) -> None:
        await self._context.ready(self._jobs, self._pods)
        for pod in self._pods.all():
            self._on_pod(Applied(pod, pod))
        await self._controller.run()

    def _on_job(self, delta: Delta) -> None:
        self._controller.queue.add(key(delta.new if isinstance(delta, Applied) else delta.old))

    def _on_pod(self, delta: Delta) -> None:
        pod = delta.new if isinstance(delta, Applied) else delta.old
        reference = controller_of(pod)
        if reference is None or reference.get("kind") != "Job":
            return
        owner = namespace(pod), str(reference.get("name"))
        if isinstance(delta, Applied) and delta.old is None:
            self._expectations.created(owner)
        if isinstance(delta, Deleted) or is_deleting(pod):
            self._expectations.deleted(owner, uid(pod))
        self._controller.queue.add(owner)
        if isinstance(delta, Applied) and is_deleting(pod) and self._jobs.has_synced:
            self._adrift(pod, owner)

    def _adrift(self, pod: Object, owner: Key) -> None:
        """A pod whose Job is gone is nobody's to count: queue it by its own key."""
        job = self._jobs.get(*owner)
        reference = controller_of(pod) or {}
        if (job is None or uid(job) != reference.get("uid")) and decide.is_tracked(pod):
            self._controller.queue.add((f"pod/{namespace(pod)}", name(pod)))

    async def reconcile(self, which: Key) -> float | None:
        if which[0].startswith("pod/"):
            pod = self._pods.get(which[0].removeprefix("pod/"), which[1])
            if pod is not None:
                await self._release(pod)
            return None
        job = self._jobs.get(*which)
        if job is None:
            self._expectations.forget(which)
            return None
        pods = self._pods_by_owner.get(("owner", uid(job)))
        plan = decide.plan(job, pods, self._context.now())
        if plan.status != status(job):
            await self._context.client.update_status(JOBS, {**job, "status": plan.status})
            if plan.event is not None:
                self._events.event(job, *plan.event)
        for pod in plan.release:
            await self._release(pod)
        failure = await self._act(which, job, plan)
        if failure is not None and not (isinstance(failure, StatusError) and is_terminating(failure)):
            raise failure
        if (expiry := decide.expires(job)) is not None:
            return await self._expire(job, expiry)
        return plan.again

    async def _act(self, which: Key, job: Object, plan: decide.Plan) -> Failure | None:
        if not self._expectations.satisfied(which, time.monotonic()):
            return None
        if plan.delete:
            self._expectations.expect(which, time.monotonic(), deletions=[uid(pod) for pod in plan.delete])
            failed, failure = await self._control.delete(job, plan.delete)
            for pod in failed:
                self._expectations.deleted(which, uid(pod))
            return failure
        if not plan.create:
            return None
        self._expectations.expect(which, time.monotonic(), creations=len(plan.create))
        made, failure = await self._control.create(job, [decide.new_pod(job, index) for index in plan.create])
        self._expectations.created(which, len(plan.create) - made)
        return failure

    async def _release(self, pod: Object) -> None:
        left = [item for item in metadata(pod).get("finalizers") or () if item != decide.TRACKED]
        patch = {"metadata": {"uid": uid(pod), "finalizers": left or None}}
        try:
            await self._context.client.patch(PODS, name(pod), patch, namespace(pod))
        except NotFound:
            return

    async def _expire(self, job: Object, expiry: float) -> float | None:
        wait = expiry - self._context.now()
        if wait > 0:
            return wait
        try:
            await self._context.client.delete(JOBS, name(job), namespace(job), propagation="Foreground", uid=uid(job))
        except NotFound:
            pass
        return None
