"""steward.sock: stages, status and the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from panal.agents.node.control import Control, Progress


@contextlib.asynccontextmanager
async def serving(folder):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "s"))
    listener.listen()
    progress, down = Progress(iter(range(100)).__next__), asyncio.Event()
    server = await Control(progress, lambda: {"name": "panal"}, down.set).serve(listener)
    try:
        yield progress, down, str(folder / "s")
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def client(path):
    reader, writer = await asyncio.open_unix_connection(path)

    async def say(request):
        writer.write(json.dumps(request).encode() + b"\n")

    async def hear():
        line = await asyncio.wait_for(reader.readline(), 5)
        return json.loads(line) if line else None

    yield say, hear
    writer.close()
    await writer.wait_closed()


async def test_a_follower_hears_earlier_and_later_stages_until_the_last(tmp_path):
    async with serving(tmp_path) as (progress, _, path), client(path) as (say, hear):
        await progress.add("LAN", "7 hosts")
        await say({"do": "follow"})
        assert await hear() == {"stage": "LAN", "detail": "7 hosts", "seconds": 0}
        async with client(path) as (report, heard):
            await report({"do": "report", "stage": "usable", "last": True})
            assert await heard() == {"ok": True}
        assert (await hear())["last"] is True


async def test_a_stage_passes_once_even_if_it_is_reported_again(tmp_path):
    async with serving(tmp_path) as (progress, _, path), client(path) as (say, hear):
        for _ in range(2):
            await say({"do": "report", "stage": "DNS", "detail": "x"})
            await hear()
        assert [event["stage"] for event in progress.events] == ["DNS"]


async def test_a_failure_ends_the_stages(tmp_path):
    async with serving(tmp_path) as (progress, _, path), client(path) as (say, hear):
        await say({"do": "follow"})
        await progress.add("failed", "no LAN", failed=True)
        assert (await hear())["failed"] is True


async def test_status_and_down_are_answered_and_nonsense_is_survived(tmp_path):
    async with serving(tmp_path) as (_, down, path):
        async with client(path) as (say, hear):
            await say({"do": "what"})
            assert await hear() == {"error": "no such request"}
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"\xff\n")
        assert await reader.read() == b""
        writer.close()
        async with client(path) as (say, hear):
            await say({"do": "status"})
            assert await hear() == {"name": "panal"}
            await say({"do": "down"})
            assert await hear() == {"ok": True}
        assert down.is_set()


@pytest.mark.parametrize("size", [1 << 17])
async def test_an_endless_line_is_cut_off(tmp_path, size):
    async with serving(tmp_path) as (_, _, path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * size)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
