"""Container logs: the lines of `kubectl logs` with each of its flags, and following them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from panal.agents.kubelet import crilog, logs
from panal.agents.kubelet.crilog import Wanted
from panal.agents.kubelet.server import LogsUnavailable, logged_container, wanted_lines

LOG = (
    b"2026-11-23T18:00:00.000000001Z stdout F one\n"
    b"2026-11-23T18:00:01.000000001Z stderr F two\n"
    b"2026-11-23T18:00:02.000000001Z stdout P thr\n"
    b"2026-11-23T18:00:02.000000002Z stdout F ee\n"
    b"garbage\n"
)
ONE, TWO, THREE = b"one\n", b"two\n", b"three\n"


async def read(path: Path, wanted: Wanted) -> bytes:
    return b"".join([piece async for piece in logs.read(path, wanted)])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ONE + TWO + THREE),
        ({"tailLines": "1"}, THREE),
        ({"tailLines": "2"}, TWO + THREE),
        ({"tailLines": "0"}, b""),
        ({"tailLines": "9"}, ONE + TWO + THREE),
        ({"limitBytes": "5"}, b"one\nt"),
        ({"sinceTime": "2026-11-23T18:00:01Z"}, TWO + THREE),
        ({"sinceSeconds": "10"}, b""),
        ({"stream": "Stderr"}, TWO),
        ({"timestamps": "true", "tailLines": "1"}, b"2026-11-23T18:00:02.000000002Z ee\n"),
    ],
)
async def test_what_is_shown(tmp_path: Path, query: dict[str, str], expected: bytes) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LOG)
    assert await read(path, wanted_lines(query, 2e9)) == expected


async def test_the_tail_of_a_long_log_is_found_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(b"2026-11-23T18:00:00Z stdout F line %d\n" % number for number in range(50_000)))
    found = await read(path, Wanted(tail=3000))
    assert found.startswith(b"line 47000\n")
    assert found.endswith(b"line 49999\n")
    assert len(await read(path, Wanted())) == sum(len(b"line %d\n" % number) for number in range(50_000))


async def test_following_shows_what_comes_through_a_rotation_until_the_container_ends(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LOG)
    running, watches, seen = [True], [], []

    async def follow() -> None:
        source = logs.follow(path, Wanted(tail=1), lambda: running[0], watches.append)
        async for piece in source:
            seen.append(piece)  # noqa: PERF401 - seen while it grows

    async def until(text: bytes) -> None:
        while text not in b"".join(seen):
            await asyncio.sleep(0.005)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(follow())
        await until(THREE)
        with path.open("ab") as stream:
            stream.write(b"2026-11-23T18:00:03Z stdout F fo")
            stream.flush()
            await asyncio.sleep(0.02)
            stream.write(b"ur\n")
        await until(b"four\n")
        path.rename(tmp_path / "0.log.1")
        path.write_bytes(b"2026-11-23T18:00:04Z stdout F five\n")
        await until(b"five\n")
        running[0] = False
        watches[0].wake()
    assert b"".join(seen) == b"three\nfour\nfive\n"


def test_the_end_of_a_log_as_a_termination_message() -> None:
    assert crilog.end_of(LOG, 2, 100) == "two\nthree\n"
    assert crilog.end_of(LOG, 2, 4) == "ree\n"


@pytest.mark.parametrize("query", [{"tailLines": "-1"}, {"tailLines": "x"}, {"limitBytes": "0"}, {"stream": "no"}])
def test_a_bad_query_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(LogsUnavailable):
        wanted_lines(query, 0)


@pytest.mark.parametrize(
    ("state", "last", "previous", "expected"),
    [
        ({"running": {}}, None, False, "panal://now"),
        ({"terminated": {"containerID": "panal://now"}}, None, False, "panal://now"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "panal://before", False, "panal://before"),
        ({"running": {}}, "panal://before", True, "panal://before"),
        ({"running": {}}, None, True, 'previous terminated container "web" in pod "p" not found'),
        (
            {"waiting": {"reason": "ContainerCreating"}}, None, False,
            'container "web" in pod "p" is waiting to start: ContainerCreating',
        ),
        (
            {"waiting": {"reason": "ErrImagePull"}}, None, False,
            'container "web" in pod "p" is waiting to start: image can\'t be pulled',
        ),
        ({}, None, False, 'container "web" in pod "p" is waiting to start - no logs yet'),
    ],
)  # fmt: skip
def test_which_log_is_meant(pod: Any, state: Any, last: str | None, previous: bool, expected: str) -> None:
    before = {"terminated": {"containerID": last}} if last else {}
    status = {"containerStatuses": [{"name": "web", "containerID": "panal://now", "state": state, "lastState": before}]}
    try:
        found = logged_container(pod("web"), status, "web", previous=previous)
    except LogsUnavailable as error:
        found = str(error)
    assert found == expected
