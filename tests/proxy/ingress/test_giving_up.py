"""The ingress on real sockets: what is tried again, what is given up, and how much anybody may ask for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from panal.proxy.ingress.downstream import Timeouts

from ...ports import free_port
from .conftest import GET, LAST, OK, Ingress, backend, head_of, saying, serving, status


async def test_hosts_without_rules_get_404_and_backends_without_endpoints_503(ingress: Ingress) -> None:
    ingress.route()
    said = await ingress.say(b"GET / HTTP/1.1\r\nHost: b.com\r\n\r\n" + LAST)
    assert status(said) == 404
    assert b"<h1>404 Not Found</h1>" in said
    assert b"HTTP/1.1 503 Service Temporarily Unavailable\r\n" in said


async def test_an_endpoint_that_refuses_is_passed_over_even_for_a_post(ingress: Ingress) -> None:
    heard: list[bytes] = []
    async with backend(saying(OK, heard)) as address:
        for method in (b"GET", b"POST"):
            ingress.proxy._turns.clear()
            ingress.route(("127.0.0.1", free_port()), address)
            request = method + b" / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
            assert status(await ingress.say(request)) == 200
    assert [head[-3:] for head in heard] == [b"abc", b"abc"]


async def test_when_every_endpoint_refuses_the_answer_is_502(ingress: Ingress) -> None:
    ingress.route(("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    said = await ingress.say(LAST)
    assert status(said) == 502
    assert b"502 Bad Gateway" in said


async def test_a_backend_that_hangs_up_is_tried_elsewhere_for_a_get_but_not_for_a_post(ingress: Ingress) -> None:
    heard: list[bytes] = []

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)

    async with backend(rude) as bad, backend(saying(OK, heard)) as good:
        ingress.route(bad, good)
        assert status(await ingress.say(LAST)) == 200
        ingress.proxy._turns.clear()
        assert status(await ingress.say(LAST.replace(b"GET", b"POST"))) == 502
    assert len(heard) == 1


async def test_a_kept_connection_that_turns_out_closed_costs_nobody_an_error(ingress: Ingress) -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)  # takes the next request and hangs up instead of answering

    async with backend(once) as address:
        ingress.route(address)
        for _ in range(4):
            assert status(await ingress.say(LAST)) == 200
    assert connections == 4


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
    ],
)
async def test_a_backend_that_talks_nonsense_is_a_bad_gateway(ingress: Ingress, response: bytes) -> None:
    async with backend(saying(response)) as address:
        ingress.route(address)
        said = await ingress.say(LAST)
    assert status(said) == 502


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXX\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_seen_to_break_off(ingress: Ingress, response: bytes) -> None:
    async with backend(saying(response, keep=False)) as address:
        ingress.route(address)
        said = await ingress.say(GET)
    assert response.startswith(said)  # nothing that would make it look whole, no next answer


async def test_an_answer_without_a_length_that_breaks_off_resets_the_connection(ingress: Ingress) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with backend(talk) as address:
        ingress.route(address)
        with pytest.raises(ConnectionResetError):
            await ingress.say(GET)


async def test_what_follows_an_answer_is_never_taken_for_the_next_one(ingress: Ingress) -> None:
    async with backend(saying(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")) as address:
        ingress.route(address)
        said = await ingress.say(GET + LAST)
    assert said.count(b"hello") == 2
    assert b"evil" not in said


async def test_slow_clients_and_slow_backends_are_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    quick = Timeouts(head=0.2, body=0.2, keep_alive=0.2, linger=0.1)
    async with serving(quick) as ingress, backend(silent) as address:
        ingress.route(address, read_timeout=0.3)
        assert status(await ingress.say(b"GET / HTTP/1.1\r\nHost:")) == 408
        assert status(await ingress.say(b"POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 9\r\n\r\nabc")) == 408
        assert status(await ingress.say(LAST)) == 504
    async with serving(quick) as ingress, backend(saying(OK)) as address:
        ingress.route(address)
        assert (await ingress.say(GET)).endswith(b"hello")  # closed when nothing more comes
        reader, writer = await ingress.connect()
        try:
            assert await asyncio.wait_for(reader.read(), 3) == b""
        except ConnectionResetError:
            pass
        writer.close()


async def test_a_trickle_of_header_bytes_does_not_hold_a_connection_for_ever() -> None:
    async with serving(Timeouts(head=0.3)) as ingress:
        reader, writer = await ingress.connect()
        for byte in b"GET / HTTP/1.1\r\nHost: a.com\r\nX: y":
            if writer.transport.is_closing():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            assert status(await asyncio.wait_for(reader.read(), 3)) == 408
        writer.close()
        assert ingress.proxy.bad_requests[408] == 1


async def test_heads_too_large_are_refused(ingress: Ingress) -> None:
    ingress.route()
    assert status(await ingress.say(b"GET /" + b"a" * 40_000)) == 414
    assert status(await ingress.say(b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000)) == 431


async def test_a_body_larger_than_allowed_is_refused_before_it_comes(ingress: Ingress) -> None:
    ingress.route(("127.0.0.1", 1), body_size=10)
    said = await ingress.say(b"POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 11\r\nConnection: close\r\n\r\n")
    assert status(said) == 413


async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_larger_than_allowed(ingress: Ingress) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with backend(talk) as address:
        ingress.route(address, body_size=10)
        head = b"POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert status(await ingress.say(head + b"5\r\nhello\r\n5\r\nhello\r\n", step=100)) == 413


async def test_a_client_that_never_reads_is_not_answered_without_end(ingress: Ingress) -> None:
    ingress.route()
    _, writer = await ingress.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while True:
                writer.write(GET * 500)
                await writer.drain()
    answered = sum(ingress.proxy.requests.values())
    await asyncio.sleep(0.1)
    assert sum(ingress.proxy.requests.values()) == answered
    (client,) = ingress.proxy._connections
    assert client._transport is not None
    assert client._transport.get_write_buffer_size() < 200_000
    assert len(client._data) < 500_000
    writer.transport.abort()  # type: ignore[attr-defined]


async def test_a_client_that_reads_late_gets_every_answer(ingress: Ingress) -> None:
    body = b"x" * 100_000
    async with backend(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body)) as address:
        ingress.route(address)
        reader, writer = await ingress.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET * 99 + LAST)
        await asyncio.sleep(0.3)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        said = await asyncio.wait_for(reader.read(), 10)
        assert said.count(b"HTTP/1.1 200 OK") == 100
        assert said.count(body) == 100
        writer.close()
    assert sum(ingress.proxy.requests.values()) == 100


async def test_a_client_that_goes_away_takes_its_request_with_it(ingress: Ingress) -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        assert await reader.read() == b""
        gone.set()

    async with backend(talk) as address:
        ingress.route(address)
        _, writer = await ingress.connect()
        writer.write(GET)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()  # type: ignore[attr-defined]
        await asyncio.wait_for(gone.wait(), 3)
    assert ingress.proxy.requests["default/web", "default-web-80", "GET", 499] == 1


async def test_connections_beyond_the_limit_are_not_served() -> None:
    async with serving(max_connections=1) as ingress:
        ingress.route()
        _, first = await ingress.connect()
        await asyncio.sleep(0.05)
        reader, second = await ingress.connect()
        try:
            assert await asyncio.wait_for(reader.read(), 3) == b""
        except ConnectionResetError:
            pass
        first.close()
        second.close()


async def test_closing_lets_the_request_under_way_finish() -> None:
    async with serving() as ingress:

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head_of(reader)
            await asyncio.sleep(0.2)
            writer.write(OK)
            await reader.read(1)

        async with backend(talk) as address:
            ingress.route(address)
            asking = asyncio.ensure_future(ingress.say(GET))  # noqa: TID251
            await asyncio.sleep(0.05)
            await ingress.server.close()
            assert (await asking).endswith(b"Connection: close\r\n\r\nhello")
