"""The row of a pod: its one-word status is made from phase, reasons and the states of its containers."""

from __future__ import annotations

from typing import Any

from .. import ages
from .cells import NONE, Object, Row, age, name


def pod(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ready, restarts = _counts(spec, status, now)
    addresses = status.get("podIPs") or ([{"ip": status["podIP"]}] if status.get("podIP") else [])
    return [
        name(obj),
        f"{ready}/{_expected(spec)}",
        reason(obj),
        restarts,
        age(obj, now),
        addresses[0]["ip"] if addresses else NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _sidecars(spec: Object) -> set[str]:
    return {each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"}


def _expected(spec: Object) -> int:
    return len(spec.get("containers") or ()) + len(_sidecars(spec))


def _counts(spec: Object, status: Object, now: float) -> tuple[int, str]:
    """Ready containers, and the restarts with the time of the last one."""
    sidecars = _sidecars(spec)
    inits: list[Object] = status.get("initContainerStatuses") or []
    mains: list[Object] = status.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) and each["name"] in sidecars for each in inits)
    ready += sum(bool(each.get("ready")) and "running" in (each.get("state") or {}) for each in mains)
    started = _initialized(spec, status)
    counted = [each for each in inits if each["name"] in sidecars or not started]
    counted += mains if started else []
    restarts = sum(each.get("restartCount", 0) for each in counted)
    ended = [
        last["finishedAt"]
        for each in counted
        if (last := (each.get("lastState") or {}).get("terminated")) and last.get("finishedAt")
    ]
    if restarts and ended:
        return ready, f"{restarts} ({ages.since(max(ended), now)} ago)"
    return ready, str(restarts)


def _initialized(spec: Object, status: Object) -> bool:
    """Whether the main containers may run: every init container is done, or is a sidecar that has started."""
    return _init_reason(spec, status) is None


def reason(obj: Object) -> str:
    """The STATUS column."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    word = str(status.get("reason") or status.get("phase") or "")
    if any(
        c["type"] == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in status.get("conditions") or ()
    ):
        word = "SchedulingGated"
    initializing = _init_reason(spec, status)
    word = initializing if initializing is not None else _main_reason(status, word)
    if obj["metadata"].get("deletionTimestamp") and status.get("reason") == "NodeLost":
        return "Unknown"
    if obj["metadata"].get("deletionTimestamp") and status.get("phase") not in ("Failed", "Succeeded"):
        return "Terminating"
    return word


def _init_reason(spec: Object, status: Object) -> str | None:
    sidecars, total = _sidecars(spec), len(spec.get("initContainers") or ())
    for index, each in enumerate(status.get("initContainerStatuses") or ()):
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and terminated.get("exitCode") == 0:
            continue
        if each["name"] in sidecars and each.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}"
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return None


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _main_reason(status: Object, word: str) -> str:
    running = False
    for each in reversed(status.get("containerStatuses") or ()):
        state = each.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            word = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            word = _ended(state["terminated"])
        elif each.get("ready") and "running" in state:
            running = True
    if word == "Completed" and running:
        conditions = status.get("conditions") or ()
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        return "Running" if ready else "NotReady"
    return word


def _gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    true = {each["type"] for each in status.get("conditions") or () if each["status"] == "True"}
    return f"{sum(gate['conditionType'] in true for gate in gates)}/{len(gates)}"


PODS: dict[tuple[str, str], Row] = {("", "pods"): pod}
