"""One pod's life on this node: look, decide (`decide`), act (`performer`), report (`reporter`), sleep until a change.

Nothing here blocks: every action is a task, and its end wakes the worker again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from panal import tasks

from ..runtime.contract import Container
from . import decide as core
from . import podspec
from .admission import Refusal
from .conditions import OWNED
from .hostports import forwards
from .model import (
    FINISH,
    SANDBOX,
    VOLUMES,
    Action,
    Announce,
    Busy,
    End,
    Finish,
    Kill,
    LookAgain,
    MountVolumes,
    Phase,
    Remove,
    RemoveSandbox,
    RunSandbox,
    Seen,
    Start,
    StopSandbox,
)
from .performer import Memory, Performer
from .podspec import ContainerSpec, Pod
from .prober import Known, Prober, Verdict
from .reporter import Reporter
from .shared import Shared
from .status import only_starting, pod_status, rejected_status

_log = logging.getLogger(__name__)


FAULT_DELAY = 5.0
"""Seconds until a pod is looked at again that brought its worker into a fault (a bug here): never a busy loop."""


class Worker:
    """Runs one pod until it is gone. Give it updates; it never asks for them."""

    def __init__(self, shared: Shared, pod: Pod) -> None:
        self.pod = pod
        self._shared = shared
        self._memory = Memory()
        self._reporter = Reporter(shared.client, shared.patience)
        self._prober = Prober(shared.handlers, self.wake, self._probe_failed)
        self._performer = Performer(shared, self._memory, self._reporter, lambda: self.pod)
        self._busy: dict[str, tuple[Busy, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last: dict[str, Any] = {}
        self._mirrored = False
        self._outdated = False
        """Whether something that the pod reads has changed while its volumes were being made."""
        self._known = _known(pod)
        self.ended = asyncio.Event()
        """Set once the pod has ended, nothing of it runs, and the status that says so is on its way."""
        self.admitted = False
        """Whether its node has decided about the pod; until then it counts for no other."""
        self._memory.began_at = _began(pod)
        status = pod.get("status") or {}
        self._memory.rejected = status.get("phase") == Phase.FAILED and not status.get("startTime")
        if not podspec.is_static(pod):
            self._reporter.see(pod)

    @property
    def status(self) -> Mapping[str, Any]:
        """The status last reported, also before the API has it."""
        return self._last

    @property
    def known_before(self) -> bool:
        """Whether the pod has been on this node before: it was admitted then, or has ended."""
        status = self.pod.get("status") or {}
        begun = bool(status.get("startTime")) or status.get("phase") in (Phase.SUCCEEDED, Phase.FAILED)
        gone = podspec.deleted(self.pod) or self._memory.removed
        return begun or gone or self._shared.view.pod(podspec.uid(self.pod)).sandbox is not None

    @property
    def counts(self) -> bool:
        """Whether the pod uses what it asks for."""
        ended = self._last.get("phase", (self.pod.get("status") or {}).get("phase")) in (Phase.SUCCEEDED, Phase.FAILED)
        return self.admitted and not ended and not (self.leaving and not self._seen().running())

    @property
    def leaving(self) -> bool:
        """Whether the pod is being ended, for whatever reason."""
        return podspec.deleted(self.pod) or self._memory.removed or self._memory.end is not None

    def reject(self, why: Refusal) -> None:
        """The node does not take the pod: it fails without having begun."""
        self._memory.rejected = True
        self._memory.end = End(Phase.FAILED, why.reason, f"Pod was rejected: {why.message}")
        self._shared.event(self.pod, "Warning", why.reason, why.message)
        self.wake()

    @property
    def api(self) -> Mapping[str, Any] | None:
        """The API's copy of the pod; of a static pod, its mirror."""
        return self._reporter.api

    def wake(self) -> None:
        self._wake.set()

    def woken(self) -> Coroutine[Any, Any, bool]:
        """What waits for the next change from now on, while the worker does not run yet."""
        self._wake.clear()
        return self._wake.wait()

    def update(self, pod: Pod) -> None:
        """The pod as its source has it now."""
        before, self.pod = self.pod, pod
        if not podspec.is_static(pod):
            self._reporter.see(pod)
        meta, old = pod["metadata"], before["metadata"]
        if (meta.get("labels"), meta.get("annotations")) != (old.get("labels"), old.get("annotations")):
            self.references_changed()
        self.wake()

    def see_mirror(self, mirror: Pod | None) -> None:
        """A static pod's mirror; the first with a status tells since when things are as they are (also readiness)."""
        status = (mirror or {}).get("status") or {}
        if mirror is not None and not self._mirrored and status.get("startTime"):
            self._last = dict(status)
            self._known |= _known(mirror)
        self._mirrored = self._mirrored or mirror is not None
        self._reporter.see(mirror)
        self.wake()

    def remove(self) -> None:
        """The pod is gone from its source: end it."""
        self._memory.removed = True
        self.wake()

    def evict(self, end: End) -> None:
        """End the pod for the node's sake; its status will say so."""
        if self._memory.end is None and not self._memory.removed:
            self._memory.end = end
            self._shared.event(self.pod, "Warning", end.reason, end.message)
            self.wake()

    async def told(self) -> None:
        """Wait until the API has the pod's status."""
        await self._reporter.settled()

    def references_changed(self) -> None:
        """Something the pod reads has changed: its volumes follow, and what failed for want of it is tried again."""
        self._memory.try_again()
        self._outdated = VOLUMES in self._busy
        if self._memory.volumes is not None and not self._outdated and not self._memory.removed:
            self._begin(VOLUMES, Busy(), self._performer.mount_volumes())
        self.wake()

    async def run(self) -> None:
        """Until the pod has ended and is gone everywhere."""
        try:
            while not self._memory.finished:
                self._wake.clear()
                try:
                    self._once(time.time())
                except Exception:
                    _log.exception("pod %s", podspec.described(self.pod))
                    asyncio.get_running_loop().call_later(FAULT_DELAY, self.wake)
                await asyncio.sleep(0)  # a worker that wakes itself must not keep the others from running
                await self._wake.wait()
        finally:
            self._stop()

    def _once(self, now: float) -> None:
        if (end := core.overdue(self.pod, self._seen(), now)) is not None and self._memory.end is None:
            self._memory.end = end
            self._shared.event(self.pod, "Normal", end.reason, end.message)
        seen = self._seen()
        self._follow_probes(seen)
        self._follow_ports(seen)
        seen = self._seen()
        if core.must_end(self.pod, seen, now):
            self._cancel_starts()
        actions = core.decide(self.pod, seen, now)
        self._report(seen, now)
        self._set_timer(now, actions)
        for action in actions:
            self._perform(action)

    def _seen(self) -> Seen:
        view = self._shared.view.pod(podspec.uid(self.pod))
        memory = self._memory
        return Seen(
            sandbox=view.sandbox,
            old_sandboxes=view.old_sandboxes,
            containers=view.containers,
            volumes_ready=memory.volumes is not None,
            volumes_retry_at=memory.volumes_retry_at,
            sandbox_retry_at=memory.sandbox_retry_at,
            started=self._prober.started(),
            ready=self._prober.ready(),
            unhealthy=self._prober.unhealthy(),
            failures=dict(memory.failures),
            backoffs=dict(memory.backoffs),
            announced=frozenset(memory.announced),
            busy={key: busy for key, (busy, _) in self._busy.items()},
            removed=memory.removed,
            end=memory.end,
            began_at=memory.began_at,
        )

    def _follow_probes(self, seen: Seen) -> None:
        specs = {spec["name"]: spec for spec in (*podspec.init_containers(self.pod), *podspec.containers(self.pod))}
        ip = seen.sandbox.ip if seen.sandbox else ""
        running = {
            item.id: (specs[item.config.name], ip, item.started_at or item.created_at)
            for item in seen.running()
            if item.config.name in specs and item.id not in self._memory.starting
        }
        self._prober.follow(running, lambda key: self._known.get(key), ending=podspec.deleted(self.pod))

    def _follow_ports(self, seen: Seen) -> None:
        """The node's ports lead to the pod while one of its containers runs."""
        ip = seen.sandbox.ip if seen.sandbox is not None and seen.sandbox.ready and seen.running() else ""
        wanted = forwards(self.pod, ip, self._shared.everywhere)
        self._shared.host_ports.follow(podspec.uid(self.pod), wanted, self._port_failed)

    def _port_failed(self, words: str) -> None:
        self._shared.event(self.pod, "Warning", "RuntimeLimit", words)

    def _probe_failed(self, spec: ContainerSpec, kind: str, verdict: Verdict, output: str) -> None:
        words = "errored and resulted in unknown state" if verdict == "errored" else verdict
        message = f"{kind.capitalize()} probe {words}: {output}"
        reason = "ProbeWarning" if verdict == "warning" else "Unhealthy"
        self._shared.event(self.pod, "Warning", reason, message, spec)

    def _report(self, seen: Seen, now: float) -> None:
        if self._memory.rejected:
            if self._memory.end is not None:
                self._last = rejected_status(self.pod, self._memory.end)
                self._reporter.wish(self._last, urgent=True)
            self.ended.set()
            return
        old = _merged(self._last, (self._reporter.api or {}).get("status") or {})
        status = pod_status(
            self.pod,
            seen,
            now,
            host_ip=self._shared.config.node.address,
            began_at=self._memory.began_at or now,
            message_of=self._message_of,
            old=old,
        )
        self._last = status
        self._reporter.wish(status, urgent=not only_starting(status))
        if status["phase"] in (Phase.SUCCEEDED, Phase.FAILED) and not seen.running():
            self.ended.set()

    def _message_of(self, ended: Container, spec: ContainerSpec) -> str:
        if ended.id not in self._memory.messages:
            self._memory.messages[ended.id] = self._performer.termination_message(ended, spec)
        return self._memory.messages[ended.id]

    def _set_timer(self, now: float, actions: list[Action]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [action.at for action in actions if isinstance(action, LookAgain)]
        if (renewal := self._shared.tokens.renew_at(self.pod)) is not None and not self._memory.removed:
            if renewal > now:
                due.append(renewal)
            elif self._memory.volumes is not None and VOLUMES not in self._busy:
                self._begin(VOLUMES, Busy(), self._performer.mount_volumes())
        if due:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, min(due) - now) + 0.001, self.wake)

    def _perform(self, action: Action) -> None:
        do = self._performer
        match action:
            case RunSandbox(attempt):
                self._begin(SANDBOX, Busy(), do.run_sandbox(attempt))
            case StopSandbox(sandbox_id):
                self._begin(SANDBOX, Busy(), do.stop_sandbox(sandbox_id))
            case MountVolumes():
                self._begin(VOLUMES, Busy(), do.mount_volumes())
            case Start(name):
                self._begin(name, Busy(), do.start(action))
            case Kill(name=name, grace=grace):
                hook = name not in self._busy
                self._begin(name, Busy(time.time() + grace), do.kill(action, hook=hook))
            case Remove(found):
                self._begin(found, Busy(), do.remove_container(found))
            case RemoveSandbox(found):
                self._begin(found, Busy(), do.remove_sandbox(found))
            case Announce():
                do.announce(action)
                self.wake()
            case Finish():
                self._begin(FINISH, Busy(), do.finish())
            case LookAgain():
                return

    def _begin(self, key: str, busy: Busy, coroutine: Coroutine[Any, Any, None]) -> None:
        if (under_way := self._busy.get(key)) is not None:
            under_way[1].cancel()
        task = tasks.spawn(_guarded(coroutine), name=f"{podspec.name(self.pod)} {key}")
        self._busy[key] = (busy, task)

        def done(_: asyncio.Task[None]) -> None:
            if (found := self._busy.get(key)) is not None and found[1] is task:
                del self._busy[key]
                if key == VOLUMES and self._outdated:
                    self.references_changed()
            self.wake()

        task.add_done_callback(done)

    def _cancel_starts(self) -> None:
        """Nothing may be started any more; stops go on."""
        for key, (busy, task) in list(self._busy.items()):
            starting = busy.deadline is None and podspec.container(self.pod, key) is not None
            if starting or key == VOLUMES:
                task.cancel()

    def _stop(self) -> None:
        self.ended.set()
        self._prober.stop()
        self._shared.host_ports.follow(podspec.uid(self.pod), frozenset(), self._port_failed)
        self._reporter.stop()
        if self._timer is not None:
            self._timer.cancel()
        for _, task in self._busy.values():
            task.cancel()


async def _guarded(coroutine: Coroutine[Any, Any, None]) -> None:
    """An action that fails in a way nobody foresaw is logged, and ends late enough not to be asked for in a loop."""
    try:
        await coroutine
    except Exception:
        _log.exception("an action failed")
        await asyncio.sleep(FAULT_DELAY)


def _began(pod: Pod) -> float:
    """The pod's startTime where the API has one, else now."""
    start = (pod.get("status") or {}).get("startTime")
    return podspec.parse_time(start) if start else time.time()


def _known(pod: Pod) -> dict[str, Known]:
    status = pod.get("status") or {}
    entries = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return {
        entry["containerID"].removeprefix("panal://"): Known(bool(entry.get("started")), bool(entry.get("ready")))
        for entry in entries
        if entry.get("containerID")
    }


def _merged(last: Mapping[str, Any], api: Mapping[str, Any]) -> dict[str, Any]:
    """What was reported last, with the conditions that others wrote into the API's copy."""
    if not last:
        return dict(api)
    own = [item for item in last.get("conditions") or () if item["type"] in OWNED]
    others = [item for item in api.get("conditions") or () if item["type"] not in OWNED]
    return {**last, "conditions": others + own}
