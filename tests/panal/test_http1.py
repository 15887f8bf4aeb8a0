"""The components' HTTP client: framing in any portion, and servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from panal.http1 import HEAD_LIMIT, Broken, Framing, Pool

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: 1\r\n\r\n"
SIZED = OK + b"Content-Length: 11\r\n\r\nhello world"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize("portion", [1, 2, 7, 1000])
@pytest.mark.parametrize("answer", [CHUNKED, SIZED, b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED])
def test_a_body_is_the_same_in_any_portions(answer: bytes, portion: int) -> None:
    framing = Framing()
    body = b""
    for start in range(0, len(answer), portion):
        assert not framing.complete
        body += b"".join(framing.feed(answer[start : start + portion]))
    assert (framing.status, body, framing.complete, framing.keep) == (200, b"hello world", True, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        OK + b"X: " + b"x" * (HEAD_LIMIT + 5),
        OK + b"no header\r\n\r\n",
        SIZED + b"and more",
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Framing().feed(answer)


@contextlib.asynccontextmanager
async def pool(answer: Answer) -> AsyncIterator[tuple[Pool, list[int]]]:
    """A pool for a server that does `answer` with each connection; and how many connections there were."""
    made: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(1)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = Pool(f"http://127.0.0.1:{port}", None, {"User-Agent": "test"})
    try:
        yield connections, made
    finally:
        await connections.close()
        server.close()
        await server.wait_closed()


async def fetch(connections: Pool, method: str = "GET", body: bytes | None = None) -> bytes:
    async with connections.request(method, "/a b", params={"x": "1&2"}, body=body, headers={}) as response:
        return await response.read()


async def test_a_connection_is_kept_for_the_next_request() -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(SIZED)

    async with pool(answer) as (connections, made):
        assert [await fetch(connections) for _ in range(3)] == [b"hello world"] * 3
        assert len(made) == 1
    assert heads[0].startswith(b"GET /a%20b?x=1%262 HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_kept_connection_that_has_gone_is_made_again_but_nothing_is_created_twice() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SIZED)
        await reader.readuntil(b"\r\n\r\n")  # and goes without an answer

    async with pool(once) as (connections, made):
        assert [await fetch(connections) for _ in range(2)] == [b"hello world"] * 2
        assert len(made) == 2
        with pytest.raises(Broken):
            await fetch(connections, "POST", b"{}")
        assert len(made) == 2


async def test_an_answer_cut_short_is_broken_and_one_without_a_length_ends_with_its_connection() -> None:
    answers = [OK + b"Content-Length: 20\r\n\r\nhello", CHUNKED[:-20], OK + b"\r\nall of it"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))

    async with pool(answer) as (connections, _):
        for _ in range(2):
            with pytest.raises(Broken):
                await fetch(connections)
        assert await fetch(connections) == b"all of it"


async def test_a_server_waits_for_a_slow_reader() -> None:
    size = 32 << 20
    written = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % size + bytes(size))
        await writer.drain()
        written.set()
        await reader.read()

    async with pool(answer) as (connections, _):
        async with connections.request("GET", "/", headers={}) as response:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(written.wait(), 0.2)
            assert len(await response.read()) == size


async def test_a_header_is_one_line() -> None:
    with pytest.raises(ValueError, match="no header"):
        Pool("http://127.0.0.1:1", None, {"User-Agent": "a\r\nb: c"})
