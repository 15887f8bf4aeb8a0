"""Redirects, and the answers the ingress gives itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from panal.proxy.ingress.annotations import DEFAULT
from panal.proxy.ingress.forwarding import own_answer, redirect, request_id_of
from panal.proxy.ingress.heads import parse_request
from panal.proxy.ingress.routes import Backend, Route


def route(tls: bool = False, **options: Any) -> Route:
    return Route("/", "Prefix", Backend("b"), "default/i", replace(DEFAULT, **options), tls)


REQUEST = parse_request(b"GET /x?y HTTP/1.1\r\nHost: a.com:8080\r\n\r\n")
ROOT = parse_request(b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\n")


@pytest.mark.parametrize(
    ("found", "scheme", "expected"),
    [
        (route(), b"http", None),
        (route(tls=True), b"http", (308, b"https://a.com/x?y")),
        (route(tls=True), b"https", None),
        (route(tls=True, ssl_redirect=False), b"http", None),
        (route(force_ssl_redirect=True), b"http", (308, b"https://a.com/x?y")),
        (route(permanent_redirect="https://b.com"), b"http", (301, b"https://b.com")),
        (route(temporal_redirect="https://b.com"), b"https", (302, b"https://b.com")),
        (route(app_root="/app"), b"http", None),
    ],
)
def test_redirects(found: Route, scheme: bytes, expected: tuple[int, bytes] | None) -> None:
    assert redirect(REQUEST, found, scheme) == expected


def test_the_root_of_an_application_is_elsewhere() -> None:
    assert redirect(ROOT, route(app_root="/app"), b"http") == (302, b"/app")


@pytest.mark.parametrize("status", [301, 302, 308, 400, 404, 405, 408, 413, 414, 431, 501, 502, 503, 504, 505])
def test_every_answer_of_its_own_is_whole(status: int) -> None:
    head, _, body = own_answer(status, keep_alive=True, location=b"/x").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length: %d" % len(body) in lines
    assert b"Location: /x" in lines
    assert own_answer(status, keep_alive=False, head_only=True).endswith(b"Connection: close\r\n\r\n")


def test_a_request_id_that_is_too_long_is_not_kept() -> None:
    for value, kept in ((b"abc", b"abc"), (b"a" * 129, None), (b"", None)):
        request = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nx-request-ID: " + value + b"\r\n\r\n")
        assert request_id_of(request) == kept
