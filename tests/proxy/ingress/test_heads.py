"""Heads that pass and heads that don't: a corpus of what proxies have been tricked with."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.proxy.ingress.heads import BadMessage, parse_request, parse_response, plain_path

HOST = b"Host: a.com\r\n"


def get(*lines: bytes) -> bytes:
    return b"".join([b"GET / HTTP/1.1\r\n", HOST, *(line + b"\r\n" for line in lines), b"\r\n"])


def post(*lines: bytes) -> bytes:
    return b"".join([b"POST / HTTP/1.1\r\n", HOST, *(line + b"\r\n" for line in lines), b"\r\n"])


REFUSED = {
    "length and chunks": (post(b"Content-Length: 4", b"Transfer-Encoding: chunked"), 400),
    "chunks and length": (post(b"Transfer-Encoding: chunked", b"Content-Length: 4"), 400),
    "two lengths": (post(b"Content-Length: 4", b"Content-Length: 5"), 400),
    "the same length twice": (post(b"Content-Length: 4", b"content-length: 4"), 400),
    "a list of lengths": (post(b"Content-Length: 4, 4"), 400),
    "a signed length": (post(b"Content-Length: +4"), 400),
    "a negative length": (post(b"Content-Length: -4"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x4"), 400),
    "a length that isn't one": (post(b"Content-Length: "), 400),
    "an endless length": (post(b"Content-Length: " + b"9" * 30), 400),
    "digits that aren't ASCII": (post(b"Content-Length: \xb2"), 400),
    "a space before the colon": (post(b"Transfer-Encoding : chunked"), 400),
    "a tab before the colon": (post(b"Content-Length\t: 4"), 400),
    "a folded line": (get(b"X: a", b" b"), 400),
    "a folded coding": (post(b"Transfer-Encoding:", b" chunked"), 400),
    "a first line that is folded": (b"GET / HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n", 400),
    "a bare line feed": (b"GET / HTTP/1.1\r\nHost: a.com\nX: y\r\n\r\n", 400),
    "a bare carriage return": (get(b"X: a\rTransfer-Encoding: chunked"), 400),
    "a null byte": (get(b"X: a\0b"), 400),
    "a control character": (get(b"X: a\x0bb"), 400),
    "a name without a colon": (get(b"X"), 400),
    "an empty name": (get(b": x"), 400),
    "a name in brackets": (get(b"X(y): z"), 400),
    "another coding": (post(b"Transfer-Encoding: gzip, chunked"), 501),
    "chunked hidden": (post(b"Transfer-Encoding: xchunked"), 501),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;q=1"), 501),
    "chunked twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 501),
    "chunked and identity": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 501),
    "an empty coding": (post(b"Transfer-Encoding:"), 400),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"Host: b.com"), 400),
    "a host that is a path": (b"GET / HTTP/1.1\r\nHost: a.com/x\r\n\r\n", 400),
    "a host with a user": (b"GET / HTTP/1.1\r\nHost: u@a.com\r\n\r\n", 400),
    "a host with a space": (b"GET / HTTP/1.1\r\nHost: a.com b\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab for a space": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /\r\n" + HOST + b"\r\n", 400),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "lower-case version": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "a method that is no token": (b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "CONNECT": (b"CONNECT a.com:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "a relative target": (b"GET index.html HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another scheme": (b"GET ftp://a.com/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a star for GET": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "too many headers": (get(*[b"X: y"] * 200), 431),
}


@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as refusal:
        parse_request(head)
    assert refusal.value.status == status


def test_an_ordinary_request_is_read() -> None:
    request = parse_request(
        b"POST /a/b?c=d HTTP/1.1\r\nHost: Web1.MiEmpresa.com:8080\r\nContent-Length: 12\r\nX-Empty:\r\n"
        b"X-Spaces: \t a b \t\r\nX-Latin: \xe9\r\n\r\n"
    )
    assert (request.method, request.target, request.path, request.minor) == (b"POST", b"/a/b?c=d", b"/a/b?c=d", 1)
    assert (request.host, request.authority) == (b"web1.miempresa.com", b"Web1.MiEmpresa.com:8080")
    assert (request.framing, request.keep_alive) == (12, True)
    assert request.headers[2:] == [(b"X-Empty", b""), (b"X-Spaces", b"a b \t"), (b"X-Latin", b"\xe9")]


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (get(), True),
        (get(b"Connection: close"), False),
        (get(b"Connection: keep-alive, Close"), False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_whether_the_connection_stays_open(head: bytes, keep_alive: bool) -> None:
    assert parse_request(head).keep_alive is keep_alive


def test_an_absolute_target_outranks_the_host_header() -> None:
    for target, path in ((b"http://b.com/x?y", b"/x?y"), (b"HTTP://b.com", b"/"), (b"http://b.com?q", b"/?q")):
        request = parse_request(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (request.host, request.path) == (b"b.com", path)


def test_hosts_of_every_form_are_read() -> None:
    for authority, host in (
        (b"[::1]:8080", b"[::1]"),
        (b"a.com.", b"a.com"),
        (b"127.0.0.1:80", b"127.0.0.1"),
        (b"", b""),
        (b"under_score.com", b"under_score.com"),
    ):
        assert parse_request(b"GET / HTTP/1.1\r\nHost: " + authority + b"\r\n\r\n").host == host


def test_headers_named_by_connection_are_for_this_hop_only_but_never_the_framing() -> None:
    request = parse_request(post(b"Connection: X-Secret, Content-Length, host, close", b"Content-Length: 3"))
    assert b"x-secret" in request.drop
    assert not request.drop & {b"content-length", b"host", b"transfer-encoding"}


def test_an_upgrade_needs_both_headers() -> None:
    assert parse_request(get(b"Connection: Upgrade", b"Upgrade: websocket")).upgrade == b"websocket"
    assert parse_request(get(b"Upgrade: websocket")).upgrade == b""
    assert parse_request(get(b"Connection: Upgrade")).upgrade == b""


def test_http_2_in_the_clear_is_no_way_around_the_rules() -> None:
    request = parse_request(get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"))
    assert request.upgrade == b""
    assert {b"upgrade", b"http2-settings"} <= request.drop


@pytest.mark.parametrize(
    ("head", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 5),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "chunked"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "close"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 0),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 0),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 0),
        (b"HTTP/1.0 200\r\nContent-Length: 0\r\n\r\n", 0),
    ],
)
def test_how_long_a_response_is(head: bytes, framing: object) -> None:
    assert parse_response(head).framing == framing


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
    ],
)
def test_a_backends_nonsense_is_refused_too(head: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_response(head)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        (b"/a/b?c=/d", "/a/b"),
        (b"/a%2Fb%20c", "/a/b c"),
        (b"/a/../admin", "/admin"),
        (b"/a/%2e%2e/admin", "/admin"),
        (b"/../../x", "/x"),
        (b"//a//b/", "/a/b/"),
        (b"/a/.", "/a/"),
        (b"/%zz", "/%zz"),
        (b"/.hidden", "/.hidden"),
        (b"/", "/"),
        (b"/\xc3\xb1", "/ñ"),
        (b"*", "*"),
    ],
)
def test_rules_are_compared_with_the_path_that_is_meant(path: bytes, plain: str) -> None:
    assert plain_path(path) == plain


@given(st.binary(max_size=200))
def test_no_bytes_at_all_do_anything_but_parse_or_be_refused(data: bytes) -> None:
    for head in (data, data + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n"):
        for parse in (parse_request, parse_response):
            try:
                parse(head)
            except BadMessage:
                pass


@pytest.mark.parametrize("filler", [b" ", b"a ", b"\t", b"X:", b"X: \r\n", b"\r\n ", b"a"])
def test_no_head_takes_long_to_refuse(filler: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX:" + filler * (30_000 // len(filler)) + b"\x01\r\n\r\n"
    before = time.process_time()
    with pytest.raises(BadMessage):
        parse_request(head)
    assert time.process_time() - before < 0.25
