"""Runs the probes of one pod's containers on time. What a result means is decided in `probes`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from panal import tasks

from . import probes
from .handlers import Handlers, Target
from .outcome import Outcome
from .podspec import ContainerSpec
from .probes import Kind, Probe, State, fresh

QUIET = 1.0
"""Seconds after a container's start in which a failed probe counts for nothing: hardly any program listens at once."""

Verdict = Literal["failed", "errored", "warning"]
Unhealthy = Callable[[ContainerSpec, Kind, Verdict, str], None]


@dataclass
class _Probed:
    """One running container. `dead` is the kind of the probe that says it must be ended."""

    started: bool
    ready: bool
    dead: Kind | None = None
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True)
class Known:
    """What the API knew of a container that ran before this kubelet began; it holds until a probe says otherwise."""

    started: bool
    ready: bool


class Prober:
    """The probes of one pod. `changed` is called when a result changes, `unhealthy` for whatever is worth an event."""

    def __init__(self, handlers: Handlers, changed: Callable[[], None], unhealthy: Unhealthy) -> None:
        self._handlers = handlers
        self._changed = changed
        self._unhealthy = unhealthy
        self._probed: dict[str, _Probed] = {}
        self._ending = False

    def follow(
        self,
        running: Mapping[str, tuple[ContainerSpec, str, float]],
        known: Callable[[str], Known | None],
        *,
        ending: bool = False,
    ) -> None:
        """Probe exactly these containers: id -> spec, pod's address, time of its start.

        Of a pod that is `ending` only readiness is asked any more.
        """
        self._ending = ending
        for gone in self._probed.keys() - running.keys():
            if (task := self._probed.pop(gone).task) is not None:
                task.cancel()
        for container_id in running.keys() - self._probed.keys():
            spec, address, began = running[container_id]
            before = known(container_id)
            self._probed[container_id] = self._begin(Target(container_id, spec, address), before, began)

    def stop(self) -> None:
        self.follow({}, lambda _: None)

    def started(self) -> frozenset[str]:
        return frozenset(key for key, probed in self._probed.items() if probed.started)

    def ready(self) -> frozenset[str]:
        return frozenset(key for key, probed in self._probed.items() if probed.started and probed.ready)

    def unhealthy(self) -> dict[str, str]:
        """Containers to be ended, with the probe that says so."""
        return {key: probed.dead for key, probed in self._probed.items() if probed.dead is not None}

    def _begin(self, target: Target, known: Known | None, began: float) -> _Probed:
        found = {kind: probes.probe_of(target.spec, kind) for kind in probes.KINDS}
        probed = _Probed(
            started=found["startup"] is None or (known is not None and known.started),
            ready=found["readiness"] is None or (known is not None and known.ready),
        )
        if any(found.values()):
            name = f"probes {target.spec['name']} {target.container_id}"
            probed.task = tasks.spawn(self._all(target, probed, found, began), name=name)
        return probed

    async def _all(self, target: Target, probed: _Probed, found: Mapping[Kind, Probe | None], began: float) -> None:
        if (startup := found["startup"]) is not None and not probed.started:
            await self._repeat(startup, target, probed, began)
            began = time.time()
        async with asyncio.TaskGroup() as group:
            for kind in ("readiness", "liveness"):
                if (probe := found[kind]) is not None:
                    group.create_task(self._repeat(probe, target, probed, began), name=f"{kind} probe")

    async def _repeat(self, probe: Probe, target: Target, probed: _Probed, began: float) -> None:
        """Probe again and again; a startup probe only until it has passed or failed for good."""
        state = fresh(probe)
        if probe.kind == "readiness":
            state = replace(state, result=probed.ready or None)
        due = probes.first(probe, began)
        while True:
            await asyncio.sleep(max(0.0, due.at - time.time()))
            if self._ending and probe.kind != "readiness":
                return
            outcome = await self._handlers.run(probe.spec, target, probe.timeout)
            too_soon = not outcome.success and time.time() <= began + QUIET
            if due.counted and not too_soon:
                self._tell(target.spec, probe.kind, outcome)
            if outcome.errored or too_soon:
                state = probes.skipped(probe, state, due, began, time.time())
            else:
                state = probes.result(probe, state, due, outcome.success, began, time.time())
            self._note(probe.kind, probed, state)
            if probed.dead == probe.kind or (probe.kind == "startup" and probed.started):
                return
            due = probes.following(probe, state, began, time.time())

    def _tell(self, spec: ContainerSpec, kind: Kind, outcome: Outcome) -> None:
        if outcome.errored:
            self._unhealthy(spec, kind, "errored", outcome.output)
        elif not outcome.success:
            self._unhealthy(spec, kind, "failed", outcome.output)
        elif outcome.warning:
            self._unhealthy(spec, kind, "warning", outcome.output)

    def _note(self, kind: Kind, probed: _Probed, state: State) -> None:
        before = (probed.started, probed.ready, probed.dead)
        if kind == "readiness":
            probed.ready = bool(state.result)
        elif kind == "startup" and state.result:
            probed.started = True
        elif state.result is False:
            probed.dead = kind
        if before != (probed.started, probed.ready, probed.dead):
            self._changed()
