"""Streams of commands and containers, with real daemons: pipes, terminals, attaching, and what is left afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from panal.addresses import real_port
from panal.agents.kubelet.descriptors import Descriptor
from panal.agents.runtime import processes, terminals
from panal.agents.runtime.contract import NoSuchThing, RuntimeFailure, Session

from .conftest import Node, cmdline

ALL = ("stdin", "stdout", "stderr")


async def everything(session: Session, stream: str) -> bytes:
    descriptor, found = Descriptor(session.streams[stream]), b""
    while chunk := await descriptor.read():
        found += chunk
    return found


async def shown(session: Session, pattern: str, stream: str = "stdout") -> bytes:
    """What an output shows until the pattern is there."""
    descriptor, found = Descriptor(session.streams[stream]), b""
    async with asyncio.timeout(10):
        while not re.search(pattern.encode(), found):
            chunk = await descriptor.read()
            assert chunk, found
            found += chunk
    return found


@asynccontextmanager
async def a_shell(node: Node, *, tty: bool) -> AsyncIterator[Session]:
    container = await node.run("sleep", "1000")
    async with node.runtime.open_exec(container, ["sh"], streams=ALL, tty=tty) as session:
        yield session


async def test_a_command_reads_writes_and_ends(node: Node) -> None:
    container = await node.run("sleep", "1000")
    command = ["sh", "-c", "cat; echo err >&2; exit 7"]
    async with node.runtime.open_exec(container, command, streams=ALL) as session:
        content = os.urandom(300_000)
        reading = asyncio.gather(everything(session, "stdout"), everything(session, "stderr"))
        await Descriptor(session.streams["stdin"]).write(content)
        session.close("stdin")
        assert await reading == [content, b"err\n"]
        assert await session.wait() == 7


async def test_a_command_without_input_reads_nothing(node: Node) -> None:
    container = await node.run("sleep", "1000")
    async with node.runtime.open_exec(container, ["cat"], streams=("stdout",)) as session:
        assert set(session.streams) == {"stdout"}
        assert await everything(session, "stdout") == b""
        assert await session.wait() == 0


async def test_a_command_on_a_terminal_knows_it_and_its_size(node: Node) -> None:
    async with a_shell(node, tty=True) as session:
        assert set(session.streams) == {"stdin", "stdout"}
        session.resize(33, 101)
        write = Descriptor(session.streams["stdin"]).write
        await write(b"test -t 2 && stty size && tty\n")
        assert b"33 101" in await shown(session, r"/dev/pts/\d+")
        await write(b"sleep 1000; exit 4\n")
        await asyncio.sleep(0.3)
        await write(b"\x03")
        await shown(session, r"\^C")
        await write(b"exit 5\n")
        assert await session.wait() == 5


async def test_a_command_that_cannot_be_started_is_told_in_runcs_words(node: Node) -> None:
    container = await node.run("sleep", "1000")
    with pytest.raises(RuntimeFailure, match='exec: "nonesuch": executable file not found in'):
        async with node.runtime.open_exec(container, ["nonesuch"], streams=ALL):
            raise AssertionError("started")
    with pytest.raises(NoSuchThing):
        async with node.runtime.open_exec("nobody", ["true"], streams=ALL):
            raise AssertionError("started")


async def test_a_command_whose_user_goes_is_ended_with_all_it_started(node: Node) -> None:
    container = await node.run("sleep", "1000")
    before = (await node.runtime.usage(container)).processes
    script = "trap '' HUP; sleep 1000 & echo up; wait; sleep 1000"
    async with node.runtime.open_exec(container, ["sh", "-c", script], streams=ALL) as session:
        await shown(session, "up")
        assert (await node.runtime.usage(container)).processes >= before + 2
    for _ in range(200):
        if (await node.runtime.usage(container)).processes == before:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(await node.runtime.usage(container))


async def test_whoever_attaches_sees_what_the_log_gets(node: Node) -> None:
    container = await node.run("sh", "-c", "while read x; do echo got $x; echo err $x >&2; done", stdin=True)
    for word in (b"one", b"two"):
        async with node.runtime.attach(container, streams=ALL) as session:
            await Descriptor(session.streams["stdin"]).write(word + b"\n")
            assert await shown(session, "\n") == b"got " + word + b"\n"
            assert await shown(session, "\n", "stderr") == b"err " + word + b"\n"
    await node.said(container, "err two")
    assert node.output(container).count("got") == 2


async def test_a_large_output_waits_for_whoever_is_attached(node: Node) -> None:
    container = await node.run(
        "sh", "-c", "read x; head -c 3000000 /dev/zero | tr '\\0' x", stdin=True, stdin_once=True
    )
    async with node.runtime.attach(container, streams=ALL) as session:
        session_stdin = Descriptor(session.streams["stdin"])
        await session_stdin.write(b"\n")
        await asyncio.sleep(0.5)
        assert len(await everything(session, "stdout")) == 3_000_000
        assert await session.wait() == 0


async def test_an_input_that_is_given_once_ends_with_its_user(node: Node) -> None:
    container = await node.run("sh", "-c", "cat; echo over", stdin=True, stdin_once=True)
    await asyncio.sleep(0.2)
    async with node.runtime.attach(container, streams=ALL) as session:
        await Descriptor(session.streams["stdin"]).write(b"typed\n")
        await shown(session, "typed\n")
    assert (await node.ended(container)).exit_code == 0
    assert node.output(container) == "typed\nover"


async def test_a_container_with_a_terminal_outlives_the_runtime(node: Node) -> None:
    container = await node.run("sh", stdin=True, tty=True)
    async with node.runtime.attach(container, streams=ALL) as session:
        session.resize(20, 70)
        await Descriptor(session.streams["stdin"]).write(b"test -t 1 && stty size\n")
        await shown(session, "20 70")
    await node.kill("daemon")
    async with node.runtime.attach(container, streams=ALL) as session:
        session.resize(21, 71)
        await asyncio.sleep(0.1)
        await Descriptor(session.streams["stdin"]).write(b"stty size; exit 6\n")
        await shown(session, "21 71")
    assert (await node.ended(container)).exit_code == 6
    assert "stty size" in node.output(container)


async def test_the_last_words_of_a_terminal_are_logged(node: Node) -> None:
    container = await node.run("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo last", tty=True)
    await node.ended(container)
    assert node.output(container).rstrip().endswith("last")
    assert node.output(container).count("x") == 100_000


async def test_the_runtime_may_die_while_a_terminals_last_words_are_read(node: Node) -> None:
    """What holds the terminal keeps them from ending; the exit code has been noted, and nobody else knows it."""
    mark = f"last-words-{os.getpid()}"
    container = await node.run("sh", "-c", "setsid sleep 5 & sleep 0.3; exit 7", mark, tty=True)
    async with asyncio.timeout(20):
        while any(mark.encode() in cmdline(process.pid).split(b"\0") for process in processes.everyone()):
            await asyncio.sleep(0.005)
    await node.kill("daemon")
    ended = await node.ended(container)
    assert (ended.exit_code, ended.message) == (7, "")


async def test_a_connection_leads_to_the_pods_own_localhost(node: Node) -> None:
    sandbox = await node.pod()
    listen = "127.0.0.1" if node.namespaces else sandbox.ip
    port = 8080 if node.namespaces else real_port(8080)
    server = (
        f"import socket; s = socket.create_server(('{listen}', {port})); print('up', flush=True); "
        "c, _ = s.accept(); c.send(c.recv(9))"
    )
    container = await node.run("python3", "-c", server, sandbox=sandbox, image="python")
    await node.said(container, "up")
    with socket.socket(fileno=await node.runtime.connect(sandbox.id, 8080)) as connection:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b"hello")
        assert await loop.sock_recv(connection, 9) == b"hello"
    with pytest.raises(RuntimeFailure, match="connection refused"):
        await node.runtime.connect(sandbox.id, 8081)


def test_sizes_of_terminals_as_lines() -> None:
    assert terminals.decode_sizes(terminals.encode_size(24, 80) + terminals.encode_size(50, 200)) == (50, 200)
    assert terminals.decode_sizes(b"nonsense\n") is None
    assert terminals.encode_size(-1, 70_000) == b"0 65535\n"
