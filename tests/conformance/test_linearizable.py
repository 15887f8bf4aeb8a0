"""Compare-and-swap under concurrent writers, with the server killed in between: one history that all agree with.

Each writer reads a counter, adds one to it and to its own tally in the same object, and writes with the revision it
read. What must hold, whatever was killed when: an acknowledged write is never lost and never happens twice; a write
whose answer was lost may have happened, or not; nobody reads an older state than one already acknowledged; the watch
shows every state once, in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from ..controlplane.apiserver.http.conftest import ApiServer, make
from .conftest import Api, Target

PATH = "/api/v1/namespaces/default/configmaps"
WRITERS = 6
KILLS = 8 if os.environ.get("PANAL_TEST_ALL") else 2
WRITES_BETWEEN = 60 if os.environ.get("PANAL_TEST_ALL") else 25
"""Acknowledged writes before the next kill."""


@dataclass
class History:
    """What the clients saw."""

    acknowledged: list[tuple[float, float, str, int]] = field(default_factory=list)
    """(asked at, answered at, writer, revision) of every write that was answered."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Writes of each writer whose answer was lost."""
    reads: list[tuple[float, float, int]] = field(default_factory=list)
    """(asked at, answered at, revision) of every read."""
    over: bool = False


async def write(api: Api, name: str, history: History) -> None:
    while not history.over:
        try:
            began = time.monotonic()
            seen = await api.get(f"{PATH}/counter")
            if seen.status != 200:
                await asyncio.sleep(0.02)
                continue
            history.reads.append((began, time.monotonic(), int(seen.revision)))
            body = seen.body
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.02)
            continue
        data = body["data"]
        data["total"] = str(int(data["total"]) + 1)
        data[name] = str(int(data.get(name, "0")) + 1)
        began = time.monotonic()
        try:
            answer = await api("PUT", f"{PATH}/counter", body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            history.unknown[name] = history.unknown.get(name, 0) + 1
            continue
        if answer.status == 200:
            history.acknowledged.append((began, time.monotonic(), name, int(answer.revision)))
        else:
            assert answer.status == 409, (answer.status, answer.message)


async def kill(server: ApiServer, history: History) -> None:
    """Kill the server, and start it again, each time after some more writes."""
    for _ in range(KILLS):
        wanted = len(history.acknowledged) + WRITES_BETWEEN
        async with asyncio.timeout(60):
            while len(history.acknowledged) < wanted:
                await asyncio.sleep(0.005)
        server.stop(signal.SIGKILL)
        await asyncio.to_thread(server.start)
    wanted = len(history.acknowledged) + WRITES_BETWEEN
    async with asyncio.timeout(60):
        while len(history.acknowledged) < wanted:
            await asyncio.sleep(0.005)
    history.over = True


async def watched(api: Api, since: str) -> list[dict[str, Any]]:
    """Every state after a revision, as one watch of the last server shows it."""
    query = f"?watch=1&resourceVersion={since}&timeoutSeconds=1&fieldSelector=metadata.name%3Dcounter"
    async with api.session.get(f"{api.server}{PATH}{query}", ssl=api.context) as answer:
        return [orjson.loads(line)["object"] async for line in answer.content]


@pytest.mark.timeout(240)
async def test_compare_and_swap_is_one_history_whatever_is_killed(tmp_path: Path, target: Target) -> None:
    if target.own is None:
        pytest.skip("kills the server")
    server = make(tmp_path)
    server.start()
    history = History()
    try:
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            api = Api(server.url, session, server.ssl())
            first = (await api.create(PATH, {"metadata": {"name": "counter"}, "data": {"total": "0"}})).ok()
            async with asyncio.TaskGroup() as group:
                for number in range(WRITERS):
                    group.create_task(write(api, f"w{number}", history))
                group.create_task(kill(server, history))
            last = (await api.get(f"{PATH}/counter")).ok()
            states = await watched(api, first.revision)
    finally:
        server.stop(signal.SIGKILL)
    judge(history, last.body["data"], states)


def judge(history: History, last: dict[str, str], states: list[dict[str, Any]]) -> None:
    tallies = {name: int(value) for name, value in last.items() if name != "total"}
    assert sum(tallies.values()) == int(last["total"]), "a write was lost or torn"
    for name, tally in tallies.items():
        known = sum(1 for each in history.acknowledged if each[2] == name)
        assert known <= tally <= known + history.unknown.get(name, 0), (name, known, tally, history.unknown)
    revisions = [each[3] for each in history.acknowledged]
    assert len(set(revisions)) == len(revisions), "two writes got one revision"
    totals = [int(state["data"]["total"]) for state in states]
    assert totals == list(range(1, int(last["total"]) + 1)), "the watch shows every state once, in order"
    shown = [int(state["metadata"]["resourceVersion"]) for state in states]
    assert set(revisions) <= set(shown), "an acknowledged write is not in the history"
    done = sorted((answered, revision) for _, answered, _, revision in history.acknowledged)
    for asked, _, revision in history.reads:
        newest = max((known for answered, known in done if answered < asked), default=0)
        assert revision >= newest, "a read went back in time"
