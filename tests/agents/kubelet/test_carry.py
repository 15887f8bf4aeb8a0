"""Bytes between a process and a user: real pipes on one side, a user of a few lines on the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from panal.agents.kubelet import carry as module
from panal.agents.kubelet.carry import carry
from panal.agents.runtime.session import OpenSession, Pipes


class User:
    """Implements `carry.Remote`."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[tuple[str, bytes | None] | None] = asyncio.Queue()
        self.heard: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self.gone = False

    async def receive(self) -> tuple[str, bytes | None] | None:
        return await self.says.get()

    async def send(self, stream: str, data: bytes) -> None:
        if self.gone:
            raise ConnectionResetError
        self.heard[stream] += data

    async def finish(self, status: bytes) -> None:
        raise AssertionError("not carry's business")

    async def close(self) -> None:
        raise AssertionError("not carry's business")


class Process:
    """The other side of a session's pipes."""

    def __init__(self) -> None:
        pipes = Pipes(("stdin", "stdout", "stderr"), tty=False, pid=None)
        self.ends = {name: os.dup(number) for name, number in pipes.child.items()}
        pipes.started()
        self.session = OpenSession(pipes.own)

    def close(self, name: str) -> None:
        if name in self.ends:
            os.close(self.ends.pop(name))

    def exit(self, code: int) -> None:
        for name in list(self.ends):
            self.close(name)
        self.session.finish(code)


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    made = Process()
    yield made
    made.exit(0)
    made.session.close_all()


async def test_everything_is_sent_before_the_code_is_told(process: Process) -> None:
    user = User()
    os.write(process.ends["stdout"], b"out")
    os.write(process.ends["stderr"], b"err")
    process.exit(3)
    assert await carry(process.session, user) == 3
    assert user.heard == {"stdout": b"out", "stderr": b"err"}


async def test_input_and_its_end_reach_the_process(process: Process) -> None:
    user = User()
    for event in (("stdin", b"typed"), ("stdin", None)):
        user.says.put_nowait(event)
    carrying = asyncio.ensure_future(carry(process.session, user))  # noqa: TID251
    assert await asyncio.to_thread(os.read, process.ends["stdin"], 100) == b"typed"
    assert await asyncio.to_thread(os.read, process.ends["stdin"], 100) == b""
    process.exit(0)
    assert await carrying == 0


async def test_input_that_nobody_reads_any_more_is_thrown_away(process: Process) -> None:
    user = User()
    process.close("stdin")
    for _ in range(100):
        user.says.put_nowait(("stdin", b"x" * 65536))
    carrying = asyncio.ensure_future(carry(process.session, user))  # noqa: TID251
    while not user.says.empty():
        await asyncio.sleep(0.01)
    process.exit(0)
    assert await carrying == 0


async def test_a_user_who_goes_ends_it(process: Process) -> None:
    user = User()
    user.says.put_nowait(None)
    with pytest.raises(ConnectionError):
        await carry(process.session, user)


async def test_a_user_who_can_not_be_told_ends_it(process: Process) -> None:
    user = User()
    user.gone = True
    os.write(process.ends["stdout"], b"out")
    with pytest.raises(ConnectionError):
        await carry(process.session, user)


async def test_outputs_held_by_what_is_left_are_not_waited_for(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.1)
    user = User()
    os.write(process.ends["stdout"], b"last words")
    process.session.finish(0)
    assert await asyncio.wait_for(carry(process.session, user), 5) == 0
    assert user.heard["stdout"] == b"last words"
