"""Who leads, and when another may: candidates over one Lease, on virtual time, with an API that can be cut off."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from panal import leaderelection
from panal.client import Unreachable
from panal.errors import AlreadyExists, Conflict, NotFound
from panal.leaderelection import Election, Elector, Seen, identity, released, taken

pytestmark = pytest.mark.looptime
Object = dict[str, Any]
ELECTION = Election("work")


class Leases:
    """One Lease with versions, and watches of it."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.version = 0
        self.changed = asyncio.Condition()

    async def put(self, lease: Object | None) -> Object:
        self.version += 1
        if lease is not None:
            lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version), "uid": "u"}}
        self.lease = lease
        async with self.changed:
            self.changed.notify_all()
        return lease or {}


class Wire:
    """A candidate's own way to the Lease; cut, it reaches nothing."""

    def __init__(self, leases: Leases) -> None:
        self.leases, self.cut = leases, False
        self.requests = 0

    async def _pass(self) -> None:
        self.requests += 1
        await asyncio.sleep(0.001)
        if self.cut:
            raise Unreachable("cut off")

    async def get(self, resource: Any, name: str, namespace: str) -> Object:
        await self._pass()
        if self.leases.lease is None:
            raise NotFound(name)
        return self.leases.lease

    async def create(self, resource: Any, obj: Object, namespace: str) -> Object:
        await self._pass()
        if self.leases.lease is not None:
            raise AlreadyExists("there")
        return await self.leases.put(obj)

    async def update(self, resource: Any, obj: Object) -> Object:
        await self._pass()
        if self.leases.lease is None:
            raise NotFound("gone")
        if obj["metadata"]["resourceVersion"] != self.leases.lease["metadata"]["resourceVersion"]:
            raise Conflict("changed")
        return await self.leases.put(obj)

    @contextlib.asynccontextmanager
    async def watch(self, resource: Any, namespace: str, *, resource_version: str, **_: Any) -> AsyncIterator[Any]:
        async def events() -> AsyncIterator[tuple[str, Object]]:
            seen = int(resource_version)
            while True:
                async with self.leases.changed:
                    while self.leases.version <= seen:
                        await self.leases.changed.wait()
                seen = self.leases.version
                yield ("DELETED", {}) if self.leases.lease is None else ("MODIFIED", self.leases.lease)

        await self._pass()
        yield events()


class Told:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def event(self, obj: Object, kind: str, reason: str, message: str) -> None:
        assert (kind, reason, obj["kind"]) == ("Normal", "LeaderElection", "Lease")
        self.messages.append(message)


class Candidate:
    working: set[str]

    def __init__(self, name: str, leases: Leases, working: set[str]) -> None:
        self.name, self.wire, self.told, self.working = name, Wire(leases), Told(), working
        self.task: asyncio.Task[None] | None = None

    async def _work(self) -> None:
        self.working.add(self.name)
        assert len(self.working) == 1, self.working
        try:
            await asyncio.Event().wait()
        finally:
            self.working.discard(self.name)

    def start(self) -> Candidate:
        self.wire.cut = False
        elector = Elector(self.wire, ELECTION, self.name, self.told)  # type: ignore[arg-type]
        self.task = asyncio.get_running_loop().create_task(elector.lead(self._work))
        return self

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def kill(self) -> None:
        """As kill -9: nothing is given back."""
        self.wire.cut = True
        await self.stop()


@pytest.fixture
def working() -> set[str]:
    return set()


async def test_the_first_leads_at_once_and_the_second_when_it_goes(working: set[str]) -> None:
    leases = Leases()
    one = Candidate("one", leases, working).start()
    await asyncio.sleep(0.1)
    two = Candidate("two", leases, working).start()
    await asyncio.sleep(60)
    assert working == {"one"}
    assert two.wire.requests == 2, "who waits asks once, and watches"
    await one.stop()
    await asyncio.sleep(0.1)
    assert working == {"two"}
    assert two.told.messages == ["two became leader"]
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1
    await two.stop()


async def test_a_killed_leader_is_followed_when_its_lease_has_lapsed(working: set[str]) -> None:
    leases = Leases()
    one = Candidate("one", leases, working).start()
    await asyncio.sleep(0.1)
    two = Candidate("two", leases, working).start()
    await asyncio.sleep(5)
    await one.kill()
    await asyncio.sleep(12)
    assert working == set()
    await asyncio.sleep(4)
    assert working == {"two"}
    await two.stop()


async def test_the_killed_one_s_own_successor_need_not_wait(working: set[str]) -> None:
    leases = Leases()
    one = Candidate("one", leases, working).start()
    await asyncio.sleep(5)
    await one.kill()
    one.start()
    await asyncio.sleep(0.1)
    assert working == {"one"}
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 0
    await one.stop()


async def test_a_leader_that_is_cut_off_stops_before_another_may_begin(working: set[str]) -> None:
    leases = Leases()
    one = Candidate("one", leases, working).start()
    await asyncio.sleep(0.1)
    two = Candidate("two", leases, working).start()
    await asyncio.sleep(5)
    one.wire.cut = True
    await asyncio.sleep(12)
    assert working == set()
    await asyncio.sleep(5)
    assert working == {"two"}
    one.wire.cut = False
    await two.stop()
    await asyncio.sleep(3)
    assert working == {"one"}
    assert one.told.messages == ["one became leader", "one stopped leading", "one became leader"]
    await one.stop()


async def test_one_that_is_told_to_end_as_it_loses_the_lease_ends() -> None:
    wire, ended = Wire(Leases()), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            wire.cut = False  # so that it would lead again at once
            ended.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)

    elector = Elector(wire, ELECTION, "one", Told())  # type: ignore[arg-type]
    leading = asyncio.get_running_loop().create_task(elector.lead(work))
    await asyncio.sleep(1)
    wire.cut = True
    while not ended:
        await asyncio.sleep(0.1)
    leading.cancel()
    done, _ = await asyncio.wait({leading}, timeout=30)
    assert done
    assert leading.cancelled()


@pytest.mark.parametrize("seed", range(8))
async def test_whoever_is_killed_one_leads_and_never_two(seed: int, working: set[str]) -> None:
    rng, leases = random.Random(seed), Leases()
    candidates = [Candidate(name, leases, working).start() for name in ("one", "two", "three")]
    for _ in range(60):
        await asyncio.sleep(rng.random() * 20)
        victim = rng.choice(candidates)
        match rng.choice(("kill", "stop", "cut")):
            case "kill":
                await victim.kill()
                victim.start()
            case "stop":
                await victim.stop()
                victim.start()
            case _:
                victim.wire.cut = not victim.wire.cut
    for candidate in candidates:
        candidate.wire.cut = False
    await asyncio.sleep(20)
    assert len(working) == 1
    for candidate in candidates:
        await candidate.stop()


def test_a_released_lease_may_be_taken_at_once() -> None:
    lease = {**taken(ELECTION, None, "one", 1000.0), "metadata": {"name": "work"}}
    assert lease["spec"]["holderIdentity"] == "one"
    assert lease["spec"]["leaseDurationSeconds"] == 15
    assert lease["spec"]["renewTime"] == "1970-01-01T00:16:40.000000Z"
    assert Seen().wait(lease, "two", 50.0) == 15.0
    assert Seen().wait(lease, "one", 50.0) == 0.0
    assert Seen().wait(released(lease, 1001.0), "two", 50.0) == 0.0


def test_the_holder_is_the_pod_whatever_process_runs_it() -> None:
    pod = {"POD_NAME": "kube-scheduler-nodo1", "POD_NAMESPACE": "kube-system"}
    assert identity("nodo1", pod) == identity("nodo1", pod)
    assert identity("nodo1", pod).startswith("nodo1_")
    assert identity("nodo1", {}) != identity("nodo1", {})


@pytest.mark.parametrize(
    ("times", "said"),
    [((10, 10, 2), "leaseDuration"), ((15, 2, 2), "renewDeadline"), ((0.5, 0.4, 0.1), "at least 1s")],
)
def test_times_that_cannot_work_are_refused(times: tuple[float, float, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Election("work", "kube-system", *times).check()


def test_the_flags_are_those_of_kubernetes() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    leaderelection.add_flags(parser, "kube-scheduler")
    assert leaderelection.from_flags(parser.parse_args([])) == Election("kube-scheduler")
    assert leaderelection.from_flags(parser.parse_args(["--leader-elect=false"])) is None
    options = parser.parse_args(
        ["--leader-elect", "--leader-elect-lease-duration=1m", "--leader-elect-retry-period=1s"]
    )
    found = leaderelection.from_flags(options)
    assert found is not None
    assert (found.lease_duration, found.retry_period) == (60.0, 1.0)
