"""The ingress on real sockets: what passes through, what is refused, what is tried again, what is given up."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct

import pytest

from panal.proxy.ingress.downstream import Timeouts

from ...ports import free_port
from .conftest import GET, LAST, OK, Ingress, backend, head_of, saying, serving
from .test_heads import REFUSED


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


async def test_a_request_reaches_the_backend_with_what_a_proxy_adds(ingress: Ingress) -> None:
    heard: list[bytes] = []
    async with backend(saying(OK, heard)) as address:
        ingress.route(address)
        said = await ingress.say(
            b"GET /x?y=%20z HTTP/1.1\r\nHost: a.com:8080\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
            b"X-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nX-Own: kept\r\nX-Hop: gone\r\nTE: trailers\r\n"
            b"X-Request-ID: abc\r\nConnection: close, X-Hop\r\n\r\n"
        )
    assert said == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    assert heard[0].split(b"\r\n") == [
        b"GET /x?y=%20z HTTP/1.1",
        b"Host: a.com:8080",
        b"X-Request-ID: abc",
        b"X-Real-IP: 127.0.0.1",
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Host: a.com:8080",
        b"X-Forwarded-Port: 80",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Scheme: http",
        b"X-Scheme: http",
        b"X-Own: kept",
        b"X-Original-Forwarded-For: 6.6.6.6",
        b"",
        b"",
    ]


async def test_each_request_without_an_id_gets_one_of_its_own(ingress: Ingress) -> None:
    heard: list[bytes] = []
    async with backend(saying(OK, heard)) as address:
        ingress.route(address)
        await ingress.say(GET + LAST)
    ids = [re.search(rb"X-Request-ID: ([0-9a-f]{32})\r\n", head) for head in heard]
    assert all(ids)
    assert len({found[1] for found in ids if found}) == 2


async def test_forwarded_headers_are_trusted_only_when_told_to() -> None:
    heard: list[bytes] = []
    async with serving(trust_forwarded=True) as ingress, backend(saying(OK, heard)) as address:
        ingress.route(address)
        await ingress.say(
            b"GET / HTTP/1.1\r\nHost: a.com\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n"
            b"Connection: close\r\n\r\n"
        )
    assert b"X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n" in heard[0]
    assert b"X-Forwarded-Proto: https\r\n" in heard[0]


@pytest.mark.parametrize(("head", "code"), REFUSED.values(), ids=REFUSED)
async def test_nothing_of_a_refused_request_reaches_the_backend(ingress: Ingress, head: bytes, code: int) -> None:
    heard: list[bytes] = []
    async with backend(saying(OK, heard)) as address:
        ingress.route(address)
        said = await ingress.say(head + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.com\r\n\r\n")
    assert status(said) == code
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in said
    assert heard == []


@pytest.mark.parametrize("step", [1, 5, 64, 100_000])
async def test_several_requests_sent_ahead_are_answered_in_order_however_they_are_cut(
    ingress: Ingress, step: int
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await head_of(reader)).split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with backend(talk) as address:
        ingress.route(address)
        requests = [b"\r\n"] + [b"GET /%d HTTP/1.1\r\nHost: a.com\r\n\r\n" % i for i in range(5)] + [LAST]
        said = await ingress.say(b"".join(requests), step=step)
    assert re.findall(rb"\r\n\r\n(/\d?)", said) == [b"/0", b"/1", b"/2", b"/3", b"/4", b"/"]


async def test_connections_to_the_backend_are_kept_and_shared(ingress: Ingress) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await saying(OK)(reader, writer)

    async with backend(talk) as address:
        ingress.route(address)
        for _ in range(3):
            assert status(await ingress.say(GET + LAST)) == 200
        assert len(ingress.proxy.pool) == 1
        ingress.route(("127.0.0.1", 1))
        assert not len(ingress.proxy.pool)
    assert connections == 1


async def test_a_service_gets_a_new_connection_for_each_request_so_that_its_rules_can_choose(ingress: Ingress) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with backend(talk) as address:
        ingress.route(address, service_upstream=True)
        request = b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\n"
        last = b"GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n"
        assert (await ingress.say(request * 2 + last)).count(b"200 OK") == 3
    assert connections == 3


async def test_requests_go_to_the_endpoints_in_turn(ingress: Ingress) -> None:
    def named(name: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name

    async with backend(saying(named(b"a"))) as a, backend(saying(named(b"b"))) as b, backend(saying(named(b"c"))) as c:
        ingress.route(a, b, c)
        answers = [(await ingress.say(LAST))[-1:] for _ in range(6)]
    assert answers == [b"a", b"b", b"c", b"a", b"b", b"c"]


@pytest.mark.parametrize("step", [1, 7, 100_000])
async def test_chunks_pass_both_ways_untouched(ingress: Ingress, step: int) -> None:
    heard: list[bytes] = []
    chunks = b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: t\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        heard.append(await reader.readexactly(len(chunks)))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        await reader.read(1)

    async with backend(talk) as address:
        ingress.route(address)
        said = await ingress.say(
            b"POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks,
            step=step,
        )
    assert heard == [chunks]
    assert said.endswith(b"\r\n\r\n" + chunks)


async def test_bad_chunks_end_the_connection_and_reach_nobody_whole(ingress: Ingress) -> None:
    whole: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        whole.append(await reader.readuntil(b"0\r\n\r\n"))

    async with backend(talk) as address:
        ingress.route(address)
        said = await ingress.say(
            b"POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" + GET
        )
    assert status(said) == 400
    assert whole == []


async def test_a_large_body_streams_both_ways_without_being_held(ingress: Ingress) -> None:
    size = 20_000_000

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            data = await reader.read(65536)
            left -= len(data)
            writer.write(data)
            await writer.drain()
        await reader.read(1)

    async with backend(talk) as address:
        ingress.route(address)
        reader, writer = await ingress.connect()

        async def send() -> None:
            writer.write(b"POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
            for _ in range(size // 50_000):
                writer.write(b"x" * 50_000)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            assert status(await head_of(reader)) == 200
            body = await reader.read(-1)
        assert len(body) == size
        writer.close()


async def test_a_slow_reader_slows_the_backend_down(ingress: Ingress) -> None:
    written = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    async with backend(talk) as address:
        ingress.route(address)
        _, writer = await ingress.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET)
        await asyncio.sleep(0.3)
        stalled = written
        await asyncio.sleep(0.2)
        assert written == stalled < 50_000_000
        writer.transport.abort()  # type: ignore[attr-defined]


async def test_a_client_of_http_1_0_gets_no_chunks(ingress: Ingress) -> None:
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
    async with backend(saying(response)) as address:
        ingress.route(address)
        said = await ingress.say(b"GET / HTTP/1.0\r\nHost: a.com\r\nConnection: keep-alive\r\n\r\n")
    assert said == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello!"


async def test_http_1_0_keeps_its_connection_when_it_asks_to(ingress: Ingress) -> None:
    async with backend(saying(OK)) as address:
        ingress.route(address)
        said = await ingress.say(
            b"GET / HTTP/1.0\r\nHost: a.com\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: a.com\r\n\r\n"
        )
    assert said.count(b"hello") == 2
    assert said.count(b"Connection: keep-alive") == 1


async def test_a_response_until_the_end_of_the_connection_is_passed_until_its_end(ingress: Ingress) -> None:
    async with backend(saying(b"HTTP/1.0 200 OK\r\n\r\nall there is", keep=False)) as address:
        ingress.route(address)
        said = await ingress.say(GET)
    assert said == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall there is"


@pytest.mark.parametrize(
    ("method", "response"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_leave_the_connection_usable(
    ingress: Ingress, method: bytes, response: bytes
) -> None:
    async with backend(saying(response)) as address:
        ingress.route(address)
        request = method + b" / HTTP/1.1\r\nHost: a.com\r\n"
        said = await ingress.say(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
    assert said.count(response.split(b"\r\n")[0]) == 2


async def test_a_client_that_waits_for_continue_gets_it_from_the_backend(ingress: Ingress) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Expect: 100-continue\r\n" in await head_of(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(5) == b"hello"
        writer.write(OK)
        await reader.read(1)

    async with backend(talk) as address:
        ingress.route(address)
        reader, writer = await ingress.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert await head_of(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert status(await head_of(reader)) == 200
        assert await reader.readexactly(5) == b"hello"
        writer.close()


async def test_an_answer_before_the_body_was_sent_ends_the_connection(ingress: Ingress) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        await reader.read(1)

    async with backend(talk) as address:
        ingress.route(address)
        said = await ingress.say(b"POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert said == b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_a_websocket_is_a_tunnel_once_both_agree(ingress: Ingress) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await head_of(reader))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        while data := await reader.read(100):
            writer.write(data.upper())

    async with backend(talk) as address:
        ingress.route(address)
        reader, writer = await ingress.connect()
        writer.write(b"GET /ws HTTP/1.1\r\nHost: a.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
        head = await head_of(reader)
        assert status(head) == 101
        assert b"Upgrade: websocket\r\n" in head
        assert await reader.readexactly(10) == b"firstEARLY"
        writer.write(b"\x00\xff\r\n\r\nmore")
        assert await reader.readexactly(10) == b"\x00\xff\r\n\r\nMORE"
        writer.close()
    assert b"Connection: upgrade\r\nUpgrade: websocket\r\n" in heard[0]


async def test_a_backend_may_not_change_protocols_unasked(ingress: Ingress) -> None:
    async with backend(saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")) as address:
        ingress.route(address)
        assert status(await ingress.say(LAST)) == 502


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


async def test_tls_is_served_with_the_fake_certificate_where_no_secret_says_otherwise(ingress: Ingress) -> None:
    heard: list[bytes] = []
    async with backend(saying(OK, heard)) as address:
        ingress.route(address)
        port = await ingress.server.listen("127.0.0.1", 0, told_port=443, tls=True)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for name in ("a.com", None):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
            writer.write(LAST)
            assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"hello")
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            assert b"Kubernetes Ingress Controller Fake Certificate" in der
            writer.close()
    assert b"X-Forwarded-Proto: https\r\n" in heard[0]
    assert b"X-Forwarded-Port: 443\r\n" in heard[0]
