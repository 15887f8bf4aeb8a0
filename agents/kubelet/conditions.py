"""The phase and the conditions of a pod, from its containers' statuses. Pure; reasons and messages are upstream's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import podspec
from .model import Phase
from .podspec import ContainerSpec, Pod

Status = Mapping[str, Any]

OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
"""The conditions that the kubelet writes; others are left to whoever wrote them."""


def phase(pod: Pod, statuses: Mapping[str, Status], terminal: bool) -> Phase:
    """The pod's phase; `terminal` when no container of it will be started again (upstream's getPhase)."""
    tally = _Tally(pod, statuses)
    policy = podspec.restart_policy(pod)
    if tally.failed_init and policy == "Never":
        return Phase.FAILED
    if (tally.pending_init and not any_started(pod, statuses)) or tally.waiting:
        return Phase.FAILED if terminal and tally.failed_init else Phase.PENDING
    if tally.unknown or not (tally.running or tally.stopped):
        return Phase.PENDING
    if tally.running:
        return Phase.RUNNING
    everything_fine = tally.stopped == tally.succeeded
    if terminal and not podspec.is_static(pod):
        return Phase.SUCCEEDED if everything_fine else Phase.FAILED
    if policy == "Always":
        return Phase.RUNNING
    if everything_fine:
        return Phase.SUCCEEDED
    return Phase.FAILED if policy == "Never" else Phase.RUNNING


class _Tally:
    """How many containers are in which state, as `phase` counts them."""

    def __init__(self, pod: Pod, statuses: Mapping[str, Status]) -> None:
        self.pending_init = self.failed_init = 0
        self.unknown = self.running = self.waiting = self.stopped = self.succeeded = 0
        for spec in podspec.init_containers(pod):
            (self._sidecar if podspec.is_sidecar(spec) else self._init)(statuses.get(spec["name"]))
        for spec in podspec.containers(pod):
            self._container(statuses.get(spec["name"]))

    def _init(self, status: Status | None) -> None:
        state, last = _states(status)
        ended = state.get("terminated") or (last.get("terminated") if "waiting" in state else None)
        if ended is None:
            self.pending_init += 1
        elif ended["exitCode"] != 0:
            self.failed_init += 1

    def _sidecar(self, status: Status | None) -> None:
        state, last = _states(status)
        if "running" in state:
            self.pending_init += not (status or {}).get("started")
            self.running += 1
        elif not state:
            self.unknown += 1
        elif "waiting" in state and "terminated" not in last:
            self.pending_init += 1
            self.waiting += 1

    def _container(self, status: Status | None) -> None:
        state, last = _states(status)
        if "running" in state:
            self.running += 1
        elif "terminated" in state:
            self.stopped += 1
            self.succeeded += state["terminated"]["exitCode"] == 0
        elif "waiting" in state:
            stopped = "terminated" in last
            self.stopped += stopped
            self.waiting += not stopped
        else:
            self.unknown += 1


def _states(status: Status | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return (status or {}).get("state") or {}, (status or {}).get("lastState") or {}


def any_started(pod: Pod, statuses: Mapping[str, Status]) -> bool:
    """Whether a container of the pod (no init container) has ever started."""
    for spec in podspec.containers(pod):
        status = statuses.get(spec["name"]) or {}
        state, last = _states(status)
        if status.get("started") or "running" in state or "terminated" in state or "terminated" in last:
            return True
    return False


def conditions(
    pod: Pod, statuses: Mapping[str, Status], phase_: Phase, sandbox_ready: bool, old: Iterable[Status], now: float
) -> list[dict[str, Any]]:
    """All conditions: those of others as they are, the kubelet's own made anew; times change with the status only."""
    kept = [dict(item) for item in old if item["type"] not in OWNED]
    before = {item["type"]: item for item in old}
    ready_containers = _containers_ready(pod, statuses, phase_)
    own = [
        ("PodReadyToStartContainers", (sandbox_ready, "", "")),
        ("Initialized", _initialized(pod, statuses, phase_)),
        ("Ready", _ready(pod, kept, ready_containers)),
        ("ContainersReady", ready_containers),
        ("PodScheduled", (True, "", "")),
    ]
    generation = pod["metadata"].get("generation")
    return kept + [_condition(kind, value, before.get(kind), generation, now) for kind, value in own]


Verdict = tuple[bool, str, str]
"""Status, reason and message of a condition."""


def _condition(kind: str, value: Verdict, before: Status | None, generation: int | None, now: float) -> dict[str, Any]:
    true, reason, message = value
    status = "True" if true else "False"
    unchanged = before is not None and before.get("status") == status and before.get("lastTransitionTime")
    found: dict[str, Any] = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": before["lastTransitionTime"] if before and unchanged else podspec.timestamp(now),
    }
    if generation is not None:
        found["observedGeneration"] = generation
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found


def _listed(kind: str, names: Sequence[str]) -> list[str]:
    return [f"containers with {kind} status: [{' '.join(names)}]"] if names else []


def _containers_ready(pod: Pod, statuses: Mapping[str, Status], phase_: Phase) -> Verdict:
    watched = [*podspec.sidecars(pod), *podspec.containers(pod)]
    unknown = [spec["name"] for spec in watched if spec["name"] not in statuses]
    unready = [spec["name"] for spec in watched if spec["name"] in statuses and not statuses[spec["name"]].get("ready")]
    if phase_ is Phase.SUCCEEDED and not unknown:
        return False, "PodCompleted", ""
    if phase_ is Phase.FAILED:
        return False, "PodFailed", ""
    message = ", ".join(_listed("unknown", unknown) + _listed("unready", unready))
    return (False, "ContainersNotReady", message) if message else (True, "", "")


def _ready(pod: Pod, others: Sequence[Status], containers_ready: Verdict) -> Verdict:
    if not containers_ready[0]:
        return containers_ready
    found = {item["type"]: item.get("status") for item in others}
    messages = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in found:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found[kind] != "True":
            messages.append(f'the status of pod readiness gate "{kind}" is not "True", but {found[kind]}')
    return (False, "ReadinessGatesNotReady", ", ".join(messages)) if messages else (True, "", "")


def _initialized(pod: Pod, statuses: Mapping[str, Status], phase_: Phase) -> Verdict:
    specs = podspec.init_containers(pod)
    unknown = [spec["name"] for spec in specs if spec["name"] not in statuses]
    incomplete = [
        spec["name"] for spec in specs if spec["name"] in statuses and not _init_done(spec, statuses[spec["name"]])
    ]
    if phase_ is Phase.SUCCEEDED and not unknown:
        return True, "PodCompleted", ""
    if any_started(pod, statuses):
        return True, "", ""
    message = ", ".join(_listed("unknown", unknown) + _listed("incomplete", incomplete))
    return (False, "ContainersNotInitialized", message) if message else (True, "", "")


def _init_done(spec: ContainerSpec, status: Status) -> bool:
    return bool(status.get("started") if podspec.is_sidecar(spec) else status.get("ready"))
