"""The kubelet's core: what to do about one pod, given what is seen of it and the time. Pure.

Flow: a pod that must end is stopped (`_ending`); else its sandbox and volumes are made (`_surroundings`); else its init
containers, sidecars and containers are started in order (`_init`, `_containers`). The worker performs the actions and
asks again after every change, so one call never needs to plan further than the next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..runtime.contract import Container, ContainerState
from . import backoff, podspec
from .model import (
    FINISH,
    SANDBOX,
    VOLUMES,
    Action,
    Announce,
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
from .podspec import ContainerSpec, Pod

KEPT_ATTEMPTS = 2
"""The present attempt and the one before, whose log `kubectl logs --previous` shows."""

SHOWN_PULL_ERROR = 2.0
"""Seconds that ErrImagePull stands in the status before it becomes ImagePullBackOff."""

SHOWN_FAILURE = 2.0
"""Seconds that RunContainerError or PostStartHookError stand there before they become CrashLoopBackOff."""

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def decide(pod: Pod, seen: Seen, now: float) -> list[Action]:
    """The next steps for `pod`. Never asks for what is under way already (`seen.busy`)."""
    actions = list(_ending(pod, seen, now) if must_end(pod, seen, now) else _living(pod, seen, now))
    return actions + list(_old_attempts(seen))


def must_end(pod: Pod, seen: Seen, now: float) -> bool:
    """Whether nothing of the pod may be started any more."""
    return (
        seen.removed
        or podspec.deleted(pod)
        or seen.end is not None
        or (pod.get("status") or {}).get("phase") in (Phase.SUCCEEDED, Phase.FAILED)
        or overdue(pod, seen, now) is not None
        or completed(pod, seen)
    )


def overdue(pod: Pod, seen: Seen, now: float) -> End | None:
    """The end of a pod that outlived its activeDeadlineSeconds."""
    at = _deadline(pod, seen)
    return End(Phase.FAILED, "DeadlineExceeded", DEADLINE_MESSAGE) if at is not None and now >= at else None


def completed(pod: Pod, seen: Seen) -> bool:
    """Whether every container has ended and none will run again, or the pod could not be initialized and never will."""
    if podspec.restart_policy(pod) == "Always" or any(name in seen.busy for name in _names(pod)):
        return False
    if not initialized(pod, seen) and _init_failed_for_good(pod, seen):
        return True
    return all(
        (last := seen.latest(spec["name"])) is not None
        and last.state is ContainerState.EXITED
        and not restarts(pod, spec, last)
        for spec in podspec.containers(pod)
    )


def initialized(pod: Pod, seen: Seen) -> bool:
    """Whether a container of the pod has run in its present sandbox: its init containers need not run again."""
    return any(seen.current(spec["name"]) is not None for spec in podspec.containers(pod))


def _names(pod: Pod) -> list[str]:
    return [spec["name"] for spec in podspec.every_container(pod)]


def _deadline(pod: Pod, seen: Seen) -> float | None:
    seconds = pod["spec"].get("activeDeadlineSeconds")
    return None if seconds is None or seen.began_at is None else seen.began_at + float(seconds)


def _init_failed_for_good(pod: Pod, seen: Seen) -> bool:
    return any(
        not podspec.is_sidecar(spec)
        and (last := seen.latest(spec["name"])) is not None
        and last.state is ContainerState.EXITED
        and last.exit_code != 0
        and not restarts(pod, spec, last)
        for spec in podspec.init_containers(pod)
    )


# ---- a pod that ends ----


def _ending(pod: Pod, seen: Seen, now: float) -> Iterator[Action]:
    running = seen.running()
    if running:
        yield from _stop_in_order(pod, seen, running, now)
    elif SANDBOX in seen.busy or VOLUMES in seen.busy or any(name in seen.busy for name in _names(pod)):
        return
    elif seen.sandbox is not None and seen.sandbox.ready:
        yield StopSandbox(seen.sandbox.id)
    elif (seen.removed or podspec.deleted(pod)) and FINISH not in seen.busy:
        yield Finish()


def _stop_in_order(pod: Pod, seen: Seen, running: Sequence[Container], now: float) -> Iterator[Action]:
    """Containers first, all at once; then sidecars from the last to the first (KEP-753)."""
    order = {spec["name"]: index for index, spec in enumerate(podspec.sidecars(pod))}
    ordinary = [item for item in running if item.config.name not in order]
    last = max((order[item.config.name] for item in running if item.config.name in order), default=-1)
    now_due = ordinary or [item for item in running if order.get(item.config.name) == last]
    grace = podspec.grace_seconds(pod)
    if seen.end is not None and seen.end.grace is not None:
        grace = min(grace, seen.end.grace)
    for item in now_due:
        under_way = seen.busy.get(item.config.name)
        if under_way is None or (under_way.deadline is not None and now + grace < under_way.deadline - 1):
            yield Kill(item.id, item.config.name, grace, f"Stopping container {item.config.name}")


# ---- a pod that lives ----


def _living(pod: Pod, seen: Seen, now: float) -> Iterator[Action]:
    if (at := _deadline(pod, seen)) is not None:
        yield LookAgain(at)
    surroundings = list(_surroundings(pod, seen, now))
    yield from surroundings
    if seen.sandbox is None or not seen.sandbox.ready or not seen.volumes_ready or SANDBOX in seen.busy:
        return
    yield from _ephemeral(pod, seen, now)
    done = initialized(pod, seen)
    init = list(_init(pod, seen, now, done))
    yield from init
    if done or not init:
        yield from _containers(pod, seen, now)


def _surroundings(pod: Pod, seen: Seen, now: float) -> Iterator[Action]:
    if not seen.volumes_ready and VOLUMES not in seen.busy:
        yield MountVolumes() if now >= seen.volumes_retry_at else LookAgain(seen.volumes_retry_at)
    if SANDBOX in seen.busy or (seen.sandbox is not None and seen.sandbox.ready):
        return
    if running := seen.running():
        yield from _stop_in_order(pod, seen, running, now)
    elif not any(name in seen.busy for name in _names(pod)) and _anything_to_run(pod, seen):
        attempt = 0 if seen.sandbox is None else seen.sandbox.config.attempt + 1
        yield RunSandbox(attempt) if now >= seen.sandbox_retry_at else LookAgain(seen.sandbox_retry_at)


def _anything_to_run(pod: Pod, seen: Seen) -> bool:
    """A lost sandbox is made again only for a container that shall run in it."""
    return any(
        (last := seen.latest(spec["name"])) is None or restarts(pod, spec, last) for spec in podspec.containers(pod)
    )


def _init(pod: Pod, seen: Seen, now: float, done: bool) -> list[Action]:
    """Steps of the init containers; empty when the containers may start."""
    actions: list[Action] = []
    for spec in podspec.init_containers(pod):
        here = seen.current(spec["name"])
        if podspec.is_sidecar(spec):
            steps = list(_keep_running(pod, seen, spec, now))
            actions += steps
            up = here is not None and here.state is ContainerState.RUNNING and here.id in seen.started
            if not done and not up:
                return actions or [LookAgain(now + backoff.MAXIMUM)]
        elif not done and not (here is not None and here.state is ContainerState.EXITED and here.exit_code == 0):
            return actions + (list(_keep_running(pod, seen, spec, now)) or [LookAgain(now + backoff.MAXIMUM)])
    return actions if done else []


def _containers(pod: Pod, seen: Seen, now: float) -> Iterator[Action]:
    """Containers are started one after the other, each after its predecessor's postStart hook, as upstream does."""
    for spec in podspec.containers(pod):
        steps = list(_keep_running(pod, seen, spec, now))
        yield from steps
        if any(isinstance(step, Start) for step in steps):
            return
        if spec["name"] in seen.busy and seen.busy[spec["name"]].deadline is None:
            return


def _ephemeral(pod: Pod, seen: Seen, now: float) -> Iterator[Action]:
    """Each is started once, whatever the others do; one that has ended stays so."""
    for spec in podspec.ephemeral_containers(pod):
        name = spec["name"]
        last, known = seen.latest(name), podspec.status_of(pod, name) or {}
        begun = last.state is not ContainerState.CREATED if last is not None else bool(known.get("containerID"))
        if begun or name in seen.busy:
            continue
        if (failure := seen.failures.get(name)) is not None and now < failure.retry_at:
            yield from _wait_for(name, failure.reason, failure.at, failure.retry_at, now)
        else:
            yield Start(name, next_attempt(pod, seen, name))


def _keep_running(pod: Pod, seen: Seen, spec: ContainerSpec, now: float) -> Iterator[Action]:
    """What one container needs: a start, a restart when its time has come, an end when it is unhealthy or changed."""
    name = spec["name"]
    if name in seen.busy:
        return
    last, here = seen.latest(name), seen.current(name)
    if here is not None and here.state is ContainerState.RUNNING:
        yield from _look_after(pod, seen, spec, here)
    elif (failure := seen.failures.get(name)) is not None and now < failure.retry_at:
        yield from _wait_for(name, failure.reason, failure.at, failure.retry_at, now)
    elif last is None or here is None or here.state is ContainerState.CREATED:
        if last is None or _is_init(pod, spec) or restarts(pod, spec, last):
            yield Start(name, next_attempt(pod, seen, name), seen.backoffs.get(name))
    elif restarts(pod, spec, here):
        yield from _restart(pod, seen, spec, here, now)


def _wait_for(name: str, reason: str, at: float, retry_at: float, now: float) -> Iterator[Action]:
    if reason == "ErrImagePull":
        if now >= at + SHOWN_PULL_ERROR:
            yield Announce(name, "image")
        else:
            yield LookAgain(at + SHOWN_PULL_ERROR)
    yield LookAgain(retry_at)


def _restart(pod: Pod, seen: Seen, spec: ContainerSpec, ended: Container, now: float) -> Iterator[Action]:
    name, at = spec["name"], ended.finished_at or now
    last = seen.backoffs.get(name)
    if now >= (due := backoff.until(last, at)):
        yield Start(name, next_attempt(pod, seen, name), backoff.following(last, at, now))
        return
    failure = seen.failures.get(name)
    if failure is not None and now < (shown := failure.at + SHOWN_FAILURE):
        yield LookAgain(shown)
        return
    if ended.id not in seen.announced:
        yield Announce(name, "crash", ended.id)
    yield LookAgain(due)


def _look_after(pod: Pod, seen: Seen, spec: ContainerSpec, running: Container) -> Iterator[Action]:
    name = spec["name"]
    again = podspec.restart_policy(pod) != "Never" or podspec.is_sidecar(spec)
    if running.config.labels.get(podspec.HASH_LABEL, "") not in ("", podspec.spec_hash(spec)):
        message = f"Container {name} definition changed, will be restarted"
    elif (probe := seen.unhealthy.get(running.id)) is not None:
        message = f"Container {name} failed {probe} probe" + (", will be restarted" if again else "")
    else:
        return
    yield Kill(running.id, name, _kill_grace(pod, spec, seen.unhealthy.get(running.id)), message)


def _kill_grace(pod: Pod, spec: ContainerSpec, probe: str | None) -> float:
    own = (spec.get(f"{probe}Probe") or {}).get("terminationGracePeriodSeconds") if probe else None
    return podspec.grace_seconds(pod) if own is None else max(1.0, float(own))


def next_attempt(pod: Pod, seen: Seen, name: str) -> int:
    """The restart count of the next start; it goes on from the API's when the runtime has forgotten the container."""
    if (last := seen.latest(name)) is not None:
        return last.config.attempt + (0 if last.state is ContainerState.CREATED and last.started_at is None else 1)
    known = podspec.status_of(pod, name)
    if known is None or not known.get("containerID"):
        return 0
    return int(known.get("restartCount") or 0) + 1


def restarts(pod: Pod, spec: ContainerSpec, ended: Container) -> bool:
    """Whether a container that ended so is started again. A changed image starts it whatever the policy."""
    if podspec.is_ephemeral(pod, spec):
        return False
    if ended.state is not ContainerState.EXITED or podspec.is_sidecar(spec):
        return True
    if ended.config.labels.get(podspec.HASH_LABEL, "") not in ("", podspec.spec_hash(spec)):
        return True
    policy = podspec.restart_policy(pod)
    if policy == "Always":
        return not _is_init(pod, spec) or ended.exit_code != 0
    return policy == "OnFailure" and ended.exit_code != 0


def _is_init(pod: Pod, spec: ContainerSpec) -> bool:
    return any(item["name"] == spec["name"] for item in podspec.init_containers(pod))


def _old_attempts(seen: Seen) -> Iterator[Action]:
    kept: set[str] = set()
    for attempts in seen.containers.values():
        kept.update(item.sandbox_id for item in attempts[-KEPT_ATTEMPTS:])
        for old in attempts[:-KEPT_ATTEMPTS]:
            if old.state is not ContainerState.RUNNING and old.id not in seen.busy:
                yield Remove(old.id)
    for sandbox in seen.old_sandboxes:
        if sandbox.id not in kept and sandbox.id not in seen.busy:
            yield RemoveSandbox(sandbox.id)
