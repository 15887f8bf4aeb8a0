"""A pod's status as the kubelet reports it, from what is seen of the pod. Pure.

`pod_status` builds the whole status; `changes` is the patch that turns the API's copy into it, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..runtime.contract import Container, ContainerState
from . import backoff, decide, podspec
from .conditions import OWNED, conditions, phase
from .model import End, Failure, Phase, Seen
from .podspec import ContainerSpec, Pod

Messages = Callable[[Container, ContainerSpec], str]
"""The termination message of an ended container (its file, or the end of its log)."""

LOST = "The container could not be located when the pod was deleted.  The container used to be Running"
KILLED = 137
_BY_KUBELET = "TerminationByKubelet"
DISRUPTED = "DisruptionTarget"
"""The condition of a pod that somebody ended for reasons outside it."""
START_ERROR = 128
"""The exit code of a container whose program could not be started, as containerd gives it."""


def pod_status(
    pod: Pod, seen: Seen, now: float, *, host_ip: str, began_at: float, message_of: Messages, old: Mapping[str, Any]
) -> dict[str, Any]:
    """The pod's status at `now`. `old` is the status last reported: times and terminal phases are kept from it."""
    ending = decide.must_end(pod, seen, now)
    builder = _Containers(pod, seen, now, ending, message_of)
    inits = {spec["name"]: builder.status(spec, init=True) for spec in podspec.init_containers(pod)}
    guests = [builder.guest(spec) for spec in podspec.ephemeral_containers(pod)]
    mains = {spec["name"]: builder.status(spec, init=False) for spec in podspec.containers(pod)}
    every = {**inits, **mains}
    end = seen.end or decide.overdue(pod, seen, now)
    at_rest = ending and not seen.running()
    found_phase = end.phase if end and at_rest else phase(pod, every, at_rest)
    old_phase = old.get("phase")
    if old_phase in (Phase.SUCCEEDED, Phase.FAILED):
        found_phase = Phase(old_phase)
    status: dict[str, Any] = {"phase": str(found_phase)}
    status["conditions"] = conditions(
        pod, every, found_phase, bool(seen.sandbox and seen.sandbox.ready), old.get("conditions") or (), now
    )
    if end and end.reason == "Evicted":
        status["conditions"] = [*(i for i in status["conditions"] if i["type"] != DISRUPTED), _disrupted(end, old, now)]
    if end and at_rest:
        status["reason"], status["message"] = end.reason, end.message
    elif old_phase == found_phase:
        status.update({field: old[field] for field in ("reason", "message") if old.get(field)})
    status["hostIP"], status["hostIPs"] = host_ip, [{"ip": host_ip}]
    if ip := _pod_ip(pod, seen, host_ip, old):
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    status["startTime"] = old.get("startTime") or podspec.timestamp(began_at)
    if inits:
        status["initContainerStatuses"] = list(inits.values())
    status["containerStatuses"] = list(mains.values())
    if guests:
        status["ephemeralContainerStatuses"] = guests
    status["qosClass"] = old.get("qosClass") or (pod.get("status") or {}).get("qosClass") or qos_class(pod)
    if (generation := pod["metadata"].get("generation")) is not None:
        status["observedGeneration"] = generation
    return status


_STARTING = ("ContainerCreating", "PodInitializing")


def only_starting(status: Mapping[str, Any]) -> bool:
    """Whether the status tells nothing but that the pod is on its way: no container has run or failed yet."""
    entries = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    reasons = [(entry["state"].get("waiting") or {}).get("reason") for entry in entries]
    return bool(status["phase"] == Phase.PENDING and all(reason in _STARTING for reason in reasons))


def rejected_status(pod: Pod, end: End) -> dict[str, Any]:
    """The status of a pod that its node did not take."""
    status: dict[str, Any] = {"phase": str(end.phase), "reason": end.reason, "message": end.message}
    status["qosClass"] = (pod.get("status") or {}).get("qosClass") or qos_class(pod)
    if (generation := pod["metadata"].get("generation")) is not None:
        status["observedGeneration"] = generation
    return status


def _disrupted(end: End, old: Mapping[str, Any], now: float) -> dict[str, Any]:
    known = next((item for item in old.get("conditions") or () if item["type"] == DISRUPTED), None)
    since = (known or {}).get("lastTransitionTime") or podspec.timestamp(now)
    words = {"reason": _BY_KUBELET, "message": end.message}
    return {"type": DISRUPTED, "status": "True", "lastProbeTime": None, "lastTransitionTime": since, **words}


def _pod_ip(pod: Pod, seen: Seen, host_ip: str, old: Mapping[str, Any]) -> str:
    if seen.sandbox is not None:
        return seen.sandbox.ip
    return host_ip if podspec.host_network(pod) else str(old.get("podIP") or "")


class _Containers:
    """Builds the containerStatuses of one pod."""

    def __init__(self, pod: Pod, seen: Seen, now: float, ending: bool, message_of: Messages) -> None:
        self._pod, self._seen, self._now, self._ending, self._message_of = pod, seen, now, ending, message_of

    def status(self, spec: ContainerSpec, *, init: bool) -> dict[str, Any]:
        name = spec["name"]
        attempts = list(self._seen.containers.get(name) or ())
        newest = attempts[-1] if attempts else None
        last = self._terminated(attempts[-2], spec) if len(attempts) > 1 else None
        status = self._base(spec, newest)
        if newest is None:
            self._forgotten(spec, status)
            return status
        state = self._state(newest, spec)
        if "terminated" in state and (waiting := self._waiting_again(spec, newest, init)) is not None:
            last, state = state["terminated"], {"waiting": waiting}
        status["state"] = state
        if last is not None:
            status["lastState"] = {"terminated": last}
        running = "running" in state
        started = running and newest.id in self._seen.started
        status["started"] = started
        status["ready"] = started and newest.id in self._seen.ready
        if init and not podspec.is_sidecar(spec):
            status["ready"] = state.get("terminated", {}).get("exitCode") == 0
        return status

    def guest(self, spec: ContainerSpec) -> dict[str, Any]:
        """An ephemeral container's: it is never ready, and nobody waits for its start."""
        status = self.status(spec, init=False)
        del status["started"]
        return {**status, "ready": False}

    def _base(self, spec: ContainerSpec, newest: Container | None) -> dict[str, Any]:
        base: dict[str, Any] = {
            "name": spec["name"],
            "state": {"waiting": {"reason": "ContainerCreating"}},
            "lastState": {},
            "ready": False,
            "restartCount": newest.config.attempt if newest else 0,
            "image": spec.get("image", ""),
            "imageID": newest.image_ref if newest else "",
            "started": False,
        }
        if newest:
            base["containerID"] = container_id(newest)
        if resources := spec.get("resources"):
            base["resources"] = resources
            if requests := resources.get("requests"):
                base["allocatedResources"] = requests
        if mounts := spec.get("volumeMounts"):
            base["volumeMounts"] = [_mount_status(mount) for mount in mounts]
        return base

    def _forgotten(self, spec: ContainerSpec, status: dict[str, Any]) -> None:
        """No container in the runtime: not started yet, failed to start, or lost since the API last heard of it."""
        known = podspec.status_of(self._pod, spec["name"])
        state = (known or {}).get("state") or {}
        status["restartCount"] = int((known or {}).get("restartCount") or 0)
        if known and known.get("containerID"):
            for field in ("containerID", "imageID"):
                status[field] = known.get(field, "")
            ended = state.get("terminated") or _lost(state, known)
            if self._ending:
                status["state"] = {"terminated": ended} if ended else status["state"]
                status["ready"] = bool(known.get("ready")) and "terminated" in state
                status["lastState"] = known.get("lastState") or {}
                return
            status["lastState"] = {"terminated": ended} if ended else known.get("lastState") or {}
        status["state"] = {"waiting": self._waiting(spec)}

    def _waiting(self, spec: ContainerSpec) -> dict[str, Any]:
        if (failure := self._seen.failures.get(spec["name"])) is not None:
            return _reason(failure)
        return {"reason": "PodInitializing" if podspec.init_containers(self._pod) else "ContainerCreating"}

    def _state(self, found: Container, spec: ContainerSpec) -> dict[str, Any]:
        match found.state:
            case ContainerState.RUNNING:
                return {"running": {"startedAt": podspec.timestamp(found.started_at or found.created_at)}}
            case ContainerState.EXITED:
                return {"terminated": self._terminated(found, spec)}
            case ContainerState.CREATED:
                return {"waiting": self._waiting(spec)}

    def _terminated(self, found: Container, spec: ContainerSpec) -> dict[str, Any]:
        code = found.exit_code if found.exit_code is not None else 255
        began = found.started_at or found.created_at
        never = found.started_at is None and code == START_ERROR
        ended: dict[str, Any] = {
            "exitCode": code,
            "reason": _reason_of_end(found, code),
            "startedAt": podspec.timestamp(0 if never else began),
            "finishedAt": podspec.timestamp(found.finished_at or began),
            "containerID": container_id(found),
        }
        if found.signal:
            ended["signal"] = found.signal
        if message := self._message_of(found, spec) or found.message:
            ended["message"] = message
        return ended

    def _waiting_again(self, spec: ContainerSpec, ended: Container, init: bool) -> dict[str, Any] | None:
        """Why an ended container is shown as waiting: it failed to start, or its restart must wait."""
        if self._ending or not decide.restarts(self._pod, spec, ended):
            return None
        failure = self._seen.failures.get(spec["name"])
        if failure is not None and ended.id not in self._seen.announced:
            return _reason(failure)
        last = self._seen.backoffs.get(spec["name"])
        starting = spec["name"] in self._seen.busy
        if last is not None and not starting and self._now < backoff.until(last, ended.finished_at or self._now):
            return {"reason": "CrashLoopBackOff", "message": crash_message(self._pod, spec["name"], last.delay)}
        return None


def _reason_of_end(found: Container, code: int) -> str:
    if found.oom_killed:
        return "OOMKilled"
    if found.started_at is None and code == START_ERROR:
        return "StartError"
    if found.message:
        return "ContainerStatusUnknown"
    return "Completed" if code == 0 else "Error"


def crash_message(pod: Pod, container: str, delay: float) -> str:
    described = podspec.described(pod)
    return f"back-off {backoff.spelled(delay)} restarting failed container={container} pod={described}"


def container_id(found: Container) -> str:
    return f"panal://{found.id}"


def _reason(failure: Failure) -> dict[str, Any]:
    return {"reason": failure.reason, **({"message": failure.message} if failure.message else {})}


def _lost(state: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any] | None:
    if "running" not in state:
        return None
    return {
        "exitCode": KILLED, "reason": "ContainerStatusUnknown", "message": LOST,
        "startedAt": None, "finishedAt": None, "containerID": known["containerID"],
    }  # fmt: skip


def _mount_status(mount: Mapping[str, Any]) -> dict[str, Any]:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    return {**status, "readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else status


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort, from requests and limits of cpu and memory."""
    owned = [*podspec.init_containers(pod), *podspec.containers(pod)]
    resources = [spec.get("resources") or {} for spec in owned]
    if not any((item.get("requests") or item.get("limits")) for item in resources):
        return "BestEffort"
    for item in resources:
        limits = item.get("limits") or {}
        requests = {**limits, **(item.get("requests") or {})}
        if any(kind not in limits or limits[kind] != requests[kind] for kind in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def changes(wanted: Mapping[str, Any], api: Mapping[str, Any]) -> dict[str, Any] | None:
    """A strategic merge patch of the status, or None when the API has it all.

    Lists that the API merges by key (conditions by type, addresses by ip) get their changed entries only, with null for
    fields that went and `$patch: delete` for addresses that went. Conditions of others are never written: what is
    wanted may hold them as they were, and their writers may have changed them since.
    """
    patch = {field: value for field, value in wanted.items() if field not in _MERGED and _differ(api.get(field), value)}
    for field, key in _MERGED.items():
        own = [entry for entry in wanted.get(field) or () if field != "conditions" or _ours(entry)]
        if entries := _entries(own, api.get(field) or (), key):
            patch[field] = entries
    patch.update({field: None for field in ("reason", "message") if api.get(field) and field not in wanted})
    return patch or None


def _ours(condition: Mapping[str, Any]) -> bool:
    return condition["type"] in OWNED or (condition["type"], condition.get("reason")) == (DISRUPTED, _BY_KUBELET)


_MERGED = {"conditions": "type", "podIPs": "ip", "hostIPs": "ip"}


def _entries(wanted: Sequence[Mapping[str, Any]], api: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    before = {entry[key]: entry for entry in api}
    found = []
    for entry in wanted:
        old = before.pop(entry[key], {})
        if _differ(old, entry):
            found.append({**dict.fromkeys(old), **entry})
    if key == "ip":
        found += [{"$patch": "delete", "ip": ip} for ip in before]
    return found


def _differ(one: Any, other: Any) -> bool:
    """Most are equal as they are, which is soon seen."""
    return bool(one != other) and bool(_bare(one) != _bare(other))


def _bare(value: Any) -> Any:
    """Without what stands for nothing: null and empty objects, which the API may drop or add."""
    if isinstance(value, Mapping):
        return {key: bare for key, item in value.items() if (bare := _bare(item)) not in (None, {})}
    if isinstance(value, (list, tuple)):
        return [_bare(item) for item in value]
    return value
