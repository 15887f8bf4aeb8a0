"""A world for the kubelet's pure core: pods whose programs behave as a script says, on a clock that costs no time."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from panal.agents.kubelet import decide, podspec, status
from panal.agents.kubelet.model import (
    FINISH,
    SANDBOX,
    VOLUMES,
    Announce,
    Busy,
    Failure,
    Finish,
    Kill,
    LookAgain,
    MountVolumes,
    Remove,
    RemoveSandbox,
    RunSandbox,
    Seen,
    Start,
    StopSandbox,
)
from panal.agents.runtime.contract import Container, ContainerConfig, ContainerState, Sandbox, SandboxConfig


def make_pod(*containers: Any, init: tuple[Any, ...] = (), **spec: Any) -> dict[str, Any]:
    """A pod; containers by name or as dicts."""

    def full(entry: Any) -> dict[str, Any]:
        return {"image": "busybox", **(entry if isinstance(entry, dict) else {"name": entry})}

    found: dict[str, Any] = {"containers": [full(entry) for entry in containers or ("web",)], **spec}
    if init:
        found["initContainers"] = [full(entry) for entry in init]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "uid": "u1", "generation": 1},
        "spec": found,
        "status": {"phase": "Pending"},
    }


@dataclass
class World:
    """One pod on a node. `runs[name]` is the list of its lives: (seconds, exit code), or None to run for ever."""

    pod: dict[str, Any]
    runs: dict[str, list[tuple[float, int] | None]] = field(default_factory=dict)
    now: float = 1000.0
    seen: Seen = field(default_factory=Seen)
    transcript: list[str] = field(default_factory=list)
    ends: dict[str, tuple[float, int]] = field(default_factory=dict)
    stops: dict[str, tuple[float, str, int]] = field(default_factory=dict)
    """Containers being stopped: when they are gone, their name, their exit code."""
    ids: Any = field(default_factory=itertools.count)
    started_at: dict[str, list[float]] = field(default_factory=dict)
    finished: bool = False
    obedient: bool = True
    """Whether programs end at SIGTERM."""

    def __post_init__(self) -> None:
        self.seen = replace(self.seen, began_at=self.now)

    def told(self) -> list[str]:
        """What was done since the last call."""
        found, self.transcript = self.transcript, []
        return found

    def settle(self) -> None:
        """Decide and act until there is nothing to do at this moment."""
        for _ in range(200):
            actions = [item for item in decide.decide(self.pod, self.seen, self.now) if not isinstance(item, LookAgain)]
            if not actions or self.finished:
                return
            for action in actions:
                self.act(action)
        raise AssertionError(f"it never comes to rest: {self.transcript[-10:]}")

    def next_look(self) -> float | None:
        due = [item.at for item in decide.decide(self.pod, self.seen, self.now) if isinstance(item, LookAgain)]
        return min((at for at in due if at > self.now), default=None)

    def run(self, seconds: float) -> None:
        """Let time pass, event by event."""
        until = self.now + seconds
        self.settle()
        while not self.finished:
            due = [at for at, _ in self.ends.values()] + [at for at, _, _ in self.stops.values()]
            look = self.next_look()
            due += [look] if look is not None else []
            moment = min((at for at in due), default=until)
            if moment > until:
                break
            self.now = max(self.now, moment)
            self.events()
            self.settle()
            if moment >= until:
                break
        self.now = max(self.now, until)

    def events(self) -> None:
        for key, (at, code) in list(self.ends.items()):
            if at <= self.now:
                del self.ends[key]
                self._exit(key, code)
        for key, (at, name, code) in list(self.stops.items()):
            if at <= self.now:
                del self.stops[key]
                self._exit(key, code)
                self._busy(name, None)

    def act(self, action: Any) -> None:
        note = self.transcript.append
        match action:
            case RunSandbox(attempt):
                note(f"sandbox {attempt}")
                config = SandboxConfig("p", "default", "u1", attempt)
                if self.seen.sandbox:
                    old = (*self.seen.old_sandboxes, self.seen.sandbox)
                    self.seen = replace(self.seen, old_sandboxes=old)
                fresh = Sandbox(f"s{next(self.ids)}", config, "10.0.0.9", True, self.now)
                self.seen = replace(self.seen, sandbox=fresh)
            case StopSandbox():
                note("stop sandbox")
                assert not self.seen.running(), "a sandbox was stopped under running containers"
                self.lose_sandbox()
            case MountVolumes():
                note("volumes")
                self.seen = replace(self.seen, volumes_ready=True)
            case Start(name, attempt, held):
                note(f"start {name}" + (f" #{attempt}" if attempt else ""))
                self._start(name, attempt, held)
            case Kill(key, name, grace, message):
                note(f"kill {name} ({grace:g}s): {message}")
                self._kill(key, name, grace)
            case Announce(name, kind, key):
                note(f"back-off {name} ({kind})")
                if kind == "image":
                    failure = self.seen.failures[name]
                    changed = {**self.seen.failures, name: replace(failure, reason="ImagePullBackOff")}
                    self.seen = replace(self.seen, failures=changed)
                else:
                    self.seen = replace(self.seen, announced=self.seen.announced | {key})
            case Remove(key):
                kept = {name: [a for a in many if a.id != key] for name, many in self.seen.containers.items()}
                self.seen = replace(self.seen, containers=kept)
            case RemoveSandbox(key):
                note("remove old sandbox")
                kept_boxes = tuple(box for box in self.seen.old_sandboxes if box.id != key)
                self.seen = replace(self.seen, old_sandboxes=kept_boxes)
            case Finish():
                note("finish")
                assert not self.seen.running()
                self.finished = True
            case _:
                raise AssertionError(action)

    def _start(self, name: str, attempt: int, held: Any) -> None:
        assert not decide.must_end(self.pod, self.seen, self.now), f"{name} was started in a pod that must end"
        if held is not None:
            self.seen = replace(self.seen, backoffs={**self.seen.backoffs, name: held})
        spec = podspec.container(self.pod, name)
        assert spec is not None
        assert self.seen.sandbox is not None
        labels = {podspec.HASH_LABEL: podspec.spec_hash(spec)}
        self.started_at.setdefault(name, []).append(self.now)
        config = ContainerConfig(name, spec["image"], attempt, labels=labels)
        found = Container(
            f"{name}-{next(self.ids)}", self.seen.sandbox.id, config,
            ContainerState.RUNNING, "ref", self.now, self.now,
        )  # fmt: skip
        many = {**self.seen.containers, name: [*self.seen.containers.get(name, ()), found]}
        ready = self.seen.ready if spec.get("readinessProbe") else self.seen.ready | {found.id}
        started = self.seen.started if spec.get("startupProbe") else self.seen.started | {found.id}
        self.seen = replace(self.seen, containers=many, ready=ready, started=started)
        lives = self.runs.get(name, [])
        life = lives.pop(0) if lives else None
        if life is not None:
            self.ends[found.id] = (self.now + life[0], life[1])

    def _kill(self, key: str, name: str, grace: float) -> None:
        self.ends.pop(key, None)
        at, code = (self.now, 143) if self.obedient else (self.now + grace, 137)
        self.stops[key] = (at, name, code)
        self._busy(name, Busy(self.now + grace))
        self.events()

    def _exit(self, key: str, code: int) -> None:
        many = {
            name: [
                replace(item, state=ContainerState.EXITED, exit_code=code, finished_at=self.now)
                if item.id == key and item.state is ContainerState.RUNNING
                else item
                for item in attempts
            ]
            for name, attempts in self.seen.containers.items()
        }
        self.seen = replace(
            self.seen, containers=many, ready=self.seen.ready - {key}, started=self.seen.started - {key}
        )

    def _busy(self, name: str, busy: Busy | None) -> None:
        others = {key: value for key, value in self.seen.busy.items() if key != name}
        self.seen = replace(self.seen, busy={**others, **({name: busy} if busy else {})})

    # ---- what happens to a pod ----

    def exit(self, name: str, code: int) -> None:
        for item in self.seen.running():
            if item.config.name == name:
                self.ends.pop(item.id, None)
                self._exit(item.id, code)

    def fail_probe(self, name: str, probe: str) -> None:
        for item in self.seen.running():
            if item.config.name == name:
                self.seen = replace(self.seen, unhealthy={**self.seen.unhealthy, item.id: probe})

    def pass_startup(self, name: str) -> None:
        ids = {item.id for item in self.seen.running() if item.config.name == name}
        self.seen = replace(self.seen, started=self.seen.started | ids)

    def lose_sandbox(self) -> None:
        assert self.seen.sandbox is not None
        for item in self.seen.running():
            self.ends.pop(item.id, None)
            self._exit(item.id, 137)
        self.seen = replace(self.seen, sandbox=replace(self.seen.sandbox, ready=False))

    def delete(self, grace: int = 30) -> None:
        self.pod = copy.deepcopy(self.pod)
        meta = self.pod["metadata"]
        meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"] = "2026-11-23T18:00:00Z", grace

    def remove(self) -> None:
        self.seen = replace(self.seen, removed=True)

    def failure(self, name: str, reason: str, message: str, wait: float) -> None:
        failed = Failure(reason, message, self.now, self.now + wait)
        self.seen = replace(self.seen, failures={**self.seen.failures, name: failed})

    def status(self, **old: Any) -> dict[str, Any]:
        return status.pod_status(
            self.pod, self.seen, self.now, host_ip="192.168.0.101", began_at=1000.0, message_of=lambda *_: "", old=old
        )


@pytest.fixture
def world() -> Callable[..., World]:
    return World


@pytest.fixture
def pod() -> Callable[..., dict[str, Any]]:
    return make_pod


__all__ = ["FINISH", "SANDBOX", "VOLUMES", "World", "make_pod"]
