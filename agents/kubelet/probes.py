"""Probes as a pure machine: when to probe next, and what a result means. The shell is `prober`.

Upstream probes once a period. So that a container which is up after 200 ms is not called ready after ten seconds, tries
are also made between the first two periods, at growing gaps; a failure of such an early try counts for nothing.

A startup probe gives a program `initialDelaySeconds` and then `failureThreshold` whole periods: its failures count at
the end of each period, as upstream's do, whose ticks fall a little before the delay is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["startup", "readiness", "liveness"]
KINDS: tuple[Kind, ...] = ("startup", "readiness", "liveness")

EARLY_GAP, EARLY_GROWTH = 0.05, 1.5
"""Seconds until the first early try, and by how much each further gap grows: 11 tries within ten seconds."""


@dataclass(frozen=True)
class Probe:
    """A probe's parameters with the API's defaults."""

    kind: Kind
    spec: Mapping[str, Any]
    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int


def probe_of(container: Mapping[str, Any], kind: Kind) -> Probe | None:
    spec = container.get(f"{kind}Probe")
    if not spec:
        return None
    return Probe(
        kind,
        spec,
        float(spec.get("initialDelaySeconds") or 0),
        float(spec.get("periodSeconds") or 10),
        float(spec.get("timeoutSeconds") or 1),
        int(spec.get("successThreshold") or 1),
        int(spec.get("failureThreshold") or 3),
    )


@dataclass(frozen=True)
class State:
    """How a probe stands. `result` is None before a threshold is reached; `early` counts tries between periods."""

    result: bool | None = None
    successes: int = 0
    failures: int = 0
    tick: int = 0
    early: int = 0


@dataclass(frozen=True)
class Try:
    """A probe to make at `at`; a failure that is not `counted` changes nothing."""

    at: float
    counted: bool


def fresh(probe: Probe) -> State:
    """How a probe stands before its first try."""
    return State(tick=1, early=-1) if probe.kind == "startup" else State()


def first(probe: Probe, began: float) -> Try:
    return Try(began + probe.initial_delay, counted=probe.kind != "startup")


def following(probe: Probe, state: State, began: float, now: float) -> Try:
    """The try after the one that led to `state`, for a container (or a passed startup probe) that `began` then."""
    start = began + probe.initial_delay
    due = start + (state.tick) * probe.period
    if state.tick == 1 and not state.result and probe.kind != "liveness":
        early = start + EARLY_GAP * (EARLY_GROWTH ** (state.early + 1) - 1) / (EARLY_GROWTH - 1)
        if early < due:
            return Try(max(early, now), counted=False)
    return Try(due if due > now else now, counted=True)


def result(probe: Probe, state: State, made: Try, success: bool, began: float, now: float) -> State:
    """How the probe stands after a try. Periods missed by a slow try are skipped, not made up for."""
    state = skipped(probe, state, made, began, now)
    if success:
        successes = state.successes + 1
        settled = True if successes >= probe.success_threshold else state.result
        return replace(state, successes=successes, failures=0, result=settled)
    if not made.counted:
        return replace(state, successes=0)
    failures = state.failures + 1
    settled = False if failures >= probe.failure_threshold else state.result
    return replace(state, successes=0, failures=failures, result=settled)


def skipped(probe: Probe, state: State, made: Try, began: float, now: float) -> State:
    """How the probe stands after a try that said nothing."""
    if not made.counted:
        return replace(state, early=state.early + 1)
    passed = int((now - began - probe.initial_delay) // probe.period)
    return replace(state, tick=max(state.tick, passed) + 1)
