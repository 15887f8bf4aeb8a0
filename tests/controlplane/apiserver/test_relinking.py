"""A page fetched through a proxy keeps its visitor in the proxy."""

from __future__ import annotations

import gzip
import zlib

import pytest

from panal.controlplane.apiserver import relinking

BASE = "/api/v1/namespaces/ns/pods/p:80/proxy"


def relinked(page: str) -> str:
    return relinking.page(page.encode(), "", BASE, {"10.0.0.1:80", "panal"}).decode()


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ('<a href="/rewriteme">test</a>', f'<a href="{BASE}/rewriteme">test</a>'),
        ("<IMG alt=x SRC=/a/b.png>", f'<IMG alt=x SRC="{BASE}/a/b.png">'),
        ("\n<p>\n  <form action='/send/?a=1&amp;b=2'>", f'\n<p>\n  <form action="{BASE}/send/?a=1&amp;b=2">'),
        ('<a href="http://10.0.0.1:80/x#y">', f'<a href="{BASE}/x#y">'),
        ('<a href="relative">', '<a href="relative">'),
        ('<a href="https://elsewhere.test/x">', '<a href="https://elsewhere.test/x">'),
        (f'<a href="{BASE}/there">', f'<a href="{BASE}/there">'),
        ('<p title="/x">/y</p><!-- <a href="/z"> -->', '<p title="/x">/y</p><!-- <a href="/z"> -->'),
        ("<script>'<a href=\"/x\">'</script>", "<script>'<a href=\"/x\">'</script>"),
        ('<a href="http://[">', '<a href="http://[">'),
    ],
)
def test_only_absolute_links_of_the_own_host_are_changed(page: str, wanted: str) -> None:
    assert relinked(page) == wanted


def test_a_packed_page_is_packed_again() -> None:
    page, wanted = b'<a href="/x">', f'<a href="{BASE}/x">'.encode()
    assert gzip.decompress(relinking.page(gzip.compress(page), "gzip", BASE, ())) == wanted
    assert zlib.decompress(relinking.page(zlib.compress(page), "deflate", BASE, ())) == wanted
    assert relinking.page(b"no gzip", "gzip", BASE, ()) == b"no gzip"


def test_bytes_that_are_no_text_stay() -> None:
    assert relinking.page(b"\xff<a href='b'>\xfe", "", BASE, ()) == b"\xff<a href='b'>\xfe"


def test_other_answers_are_not_looked_at() -> None:
    assert relinking.wanted("text/html; charset=utf-8", "")
    assert not relinking.wanted("text/plain", "")
    assert not relinking.wanted("text/html", "br")
