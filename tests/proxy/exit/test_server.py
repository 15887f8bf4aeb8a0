"""The forward proxy: what passes, what is refused and why, and what the log says of it."""

from __future__ import annotations

import asyncio
import re

import pytest

from .conftest import SERVER, Exit


def request(url: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = [f"{method} {url} HTTP/1.1", "Host: ignored.example", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def test_an_absolute_request_reaches_the_web_server_which_sees_the_proxy_and_not_who_asks(way_out: Exit) -> None:
    url = f"http://web.example.org:{way_out.server_port}/page?x=1"
    tells = ["X-Forwarded-For: 192.168.0.200", "Forwarded: for=192.168.0.200", "Proxy-Authorization: Basic eA=="]
    answer = await way_out.say(request(url, *tells, "Connection: close", "Accept: */*"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"Via: 1.1 proxy\r\n" in answer
    asked = f"web.example.org:{way_out.server_port}"
    assert way_out.heard == [
        b"GET /page?x=1 HTTP/1.1\r\nHost: %b\r\nVia: 1.1 proxy\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        % asked.encode()
    ]
    assert re.fullmatch(
        rf"\d+\.\d{{3}} +\d+ 127\.0\.0\.1 TCP_MISS/200 {len(answer)} GET http://{re.escape(asked)}/page\?x=1 - "
        rf"HIER_DIRECT/{SERVER} -\n",
        way_out.log[0],
    )


async def test_several_requests_use_one_connection_and_bodies_pass_untouched(way_out: Exit) -> None:
    url = f"http://web.example.org:{way_out.server_port}/"
    way_out.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n"
    both = request(url, "Content-Length: 3", method="POST", body=b"abc") + request(url, "Connection: close")
    answer = await way_out.say(both)
    assert answer.count(b"5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n") == 2
    assert [heard[-3:] for heard in way_out.heard] == [b"abc", b"\n\r\n"]


async def test_a_tunnel_carries_what_it_is_given_both_ways(way_out: Exit) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", way_out.port)
    target = f"web.example.org:{way_out.server_port}"
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\n\r\n")
    assert await reader.readexactly(len(way_out.answer)) == way_out.answer
    writer.write(b"secret")
    assert await reader.readexactly(6) == b"SECRET"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert way_out.peers[0][0] != ""
    while not way_out.log:
        await asyncio.sleep(0.01)
    assert f"TCP_TUNNEL/200 {len(way_out.answer) + 6} CONNECT {target} - HIER_DIRECT/{SERVER} -" in way_out.log[0]


REFUSED = [
    ("http://www.games.example/", 403, "www.games.example is blocked: play at home"),
    ("http://games.example./", 403, "games.example is blocked: play at home"),
    ("http://chat.example:8080/", 403, "chat.example is blocked: talk to each other"),
    ("http://dark.example.org/", 403, "dark.example.org (127.66.6.6) is blocked: the dark network"),
    ("http://own.example.org/", 403, "127.0.0.1 is no address of another host"),
    ("http://web.example.org:25/", 403, "port 25 is blocked"),
    ("http://nobody.example.org/", 502, "nobody.example.org has no address: NXDOMAIN"),
    ("http://web.example.org:1/", 403, "port 1 is blocked"),
    ("https://web.example.org/", 501, "https is asked for with CONNECT"),
    ("/index.html", 400, "must name a whole URL"),
    ("http://:80/", 400, "names no host"),
    ("http://web.example.org:99999/", 400, "no such port"),
]


@pytest.mark.parametrize(("url", "status", "why"), REFUSED, ids=[url for url, _, _ in REFUSED])
async def test_what_is_refused_says_why_to_people_and_to_programs(
    way_out: Exit, url: str, status: int, why: str
) -> None:
    answer = await way_out.say(request(url))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    head, _, page = answer.partition(b"\r\n\r\n")
    assert why.encode() in page
    assert re.search(rb'Proxy-Status: proxy; error=[a-z_]+; details="[^"]*' + re.escape(why.encode()), head)
    assert not way_out.heard
    assert f"/{status} {len(answer)} " in way_out.log[0]
    assert way_out.log[0].endswith("HIER_NONE/- -\n")


@pytest.mark.parametrize("target", ["www.games.example:443", "web.example.org:22", "own.example.org:443"])
async def test_a_tunnel_to_a_blocked_place_is_refused(way_out: Exit, target: str) -> None:
    answer = await way_out.say(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"is blocked: " in answer
    assert f"TCP_DENIED/403 {len(answer)} CONNECT {target} - HIER_NONE/- -" in way_out.log[0]


@pytest.mark.parametrize(
    "raw",
    [
        b"CONNECT web.example.org HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT web.example.org:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"GET http://web.example.org/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET http://u:p@web.example.org/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://web.example.org/ HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    ],
)
async def test_what_could_be_read_in_two_ways_goes_nowhere(way_out: Exit, raw: bytes) -> None:
    assert (await way_out.say(raw)).startswith(b"HTTP/1.1 400 ")
    assert not way_out.heard


async def test_a_web_server_that_is_away_is_a_502_with_the_reason(way_out: Exit) -> None:
    way_out.hosts.known["web.example.org"] = "127.1.2.4"
    answer = await way_out.say(request(f"http://web.example.org:{way_out.server_port}/"))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"web.example.org (127.1.2.4): " in answer
    assert b"error=destination_unavailable" in answer


async def test_a_url_cannot_forge_a_line_of_the_log(way_out: Exit) -> None:
    await way_out.say(b"GET http://www.games.example/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n")
    assert way_out.log[0].count("\n") == 1
    assert "%C3%BF" in way_out.log[0]
