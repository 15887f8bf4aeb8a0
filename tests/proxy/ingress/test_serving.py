"""The ingress on real sockets: what passes through, and what of it is refused."""

from __future__ import annotations

import asyncio
import re
import ssl

import pytest

from .conftest import GET, LAST, OK, Ingress, backend, head_of, saying, serving, status
from .test_heads import REFUSED


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
        b'Forwarded: for=127.0.0.1;host="a.com:8080";proto=http',
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
