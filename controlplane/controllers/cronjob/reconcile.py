"""Starts Jobs when their time comes, and keeps their history short."""

from __future__ import annotations

from panal.controllers import Controller
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.informer import Applied, Delta
from panal.resources import CRONJOBS, JOBS

from ..context import Context, by_owner
from ..meta import Key, Object, controller_of, key, name, namespace, status, uid
from ..podcontrol import is_terminating
from . import decide


class CronJobs:
    def __init__(self, context: Context) -> None:
        informers = context.informers
        self._context = context
        self._events = context.recorder("cronjob-controller")
        self._jobs_by_owner = informers.index(JOBS, by_owner)
        self._crons = informers.of(CRONJOBS)
        self._jobs = informers.of(JOBS)
        self._started: dict[str, str] = {}
        """By uid, the latest time started here: its Job, if it is deleted at once, is not made again, though the
        informer may not have heard that the time was seen to.
        """
        self._controller: Controller[Key] = Controller("cronjob", self.reconcile, workers=2)
        self._crons.subscribe(self._on_cron)
        self._jobs.subscribe(self._on_job)

    async def run(self) -> None:
        await self._context.ready(self._crons, self._jobs)
        await self._controller.run()

    def _on_cron(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._controller.queue.add(key(delta.new))
        else:
            self._started.pop(uid(delta.old), None)

    def _on_job(self, delta: Delta) -> None:
        job = delta.new if isinstance(delta, Applied) else delta.old
        reference = controller_of(job)
        if reference is not None and reference.get("kind") == "CronJob":
            self._controller.queue.add((namespace(job), str(reference.get("name"))))

    async def reconcile(self, which: Key) -> float | None:
        cron = self._crons.get(*which)
        if cron is None:
            return None
        jobs = self._jobs_by_owner.get(("owner", uid(cron)))
        try:
            plan = decide.plan(self._as_started(cron), jobs, self._context.now())
        except (ValueError, KeyError) as error:
            text = f"unparseable schedule: {(cron.get('spec') or {}).get('schedule')!r} : {error}"
            self._events.event(cron, "Warning", "UnparseableSchedule", text)
            return None
        for event in plan.events:
            self._events.event(cron, *event)
        for job in plan.delete:
            await self._delete(cron, job)
        if plan.create is not None:
            await self._create(cron, plan.create)
            self._started[uid(cron)] = plan.status["lastScheduleTime"]
        if plan.status != status(cron):
            await self._context.client.update_status(CRONJOBS, {**cron, "status": plan.status})
        return plan.again

    def _as_started(self, cron: Object) -> Object:
        latest = self._started.get(uid(cron), "")
        if latest <= (status(cron).get("lastScheduleTime") or ""):
            return cron
        return {**cron, "status": {**status(cron), "lastScheduleTime": latest}}

    async def _create(self, cron: Object, job: Object) -> None:
        try:
            await self._context.client.create(JOBS, job, namespace(cron))
        except AlreadyExists:
            return
        except StatusError as error:
            if not is_terminating(error):
                self._events.event(cron, "Warning", "FailedCreate", f"Error creating job: {error.message}")
            raise
        self._events.event(cron, "Normal", "SuccessfulCreate", f"Created job {name(job)}")

    async def _delete(self, cron: Object, job: Object) -> None:
        try:
            await self._context.client.delete(JOBS, name(job), namespace(job), propagation="Background", uid=uid(job))
        except NotFound:
            return
        self._events.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name(job)}")
