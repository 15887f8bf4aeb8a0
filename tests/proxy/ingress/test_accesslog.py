"""A line a request, that no request can forge, and that a full pipe can't hold up."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from panal.proxy.ingress.accesslog import AccessLog, Entry, line, unblocked

ENTRY = Entry(
    b"192.168.0.200", b"GET /x HTTP/1.1", 200, 512, b"", b"curl/8", 80, 0.0123,
    "default-web-80", "10.10.0.5:80", 200, b"abc",
)  # fmt: skip


def test_a_line_is_ingress_nginxs() -> None:
    assert line(ENTRY, b"23/Nov/2026:18:00:00 +0000") == (
        b'192.168.0.200 - - [23/Nov/2026:18:00:00 +0000] "GET /x HTTP/1.1" 200 512 "-" "curl/8" 80 0.012 '
        b"[default-web-80] [] 10.10.0.5:80 512 0.012 200 abc\n"
    )


def test_quotes_and_strange_bytes_stay_inside_their_field() -> None:
    forged = line(replace(ENTRY, user_agent=b'x" 200\n1.2.3.4 \xff\\', request_id=b'a"b'), b"now")
    assert forged.count(b"\n") == 1
    assert b'"x\\x22 200\\x0A1.2.3.4 \\xFF\\x5C"' in forged


async def test_lines_are_written_together_and_wait_for_a_full_pipe() -> None:
    reader, writer = os.pipe()
    fd = unblocked(writer)
    log = AccessLog(fd)
    log.RETRY = 0.01
    try:
        filled = 0
        while True:
            try:
                filled += os.write(fd, b"x" * 4096)
            except BlockingIOError:
                break
        for _ in range(3):
            log.add(ENTRY)
        await asyncio.sleep(0.05)  # the loop isn't held up
        os.read(reader, filled)
        await asyncio.sleep(0.1)
        assert os.read(reader, 65536).count(b"GET /x") == 3
    finally:
        for each in (reader, writer, fd):
            os.close(each)


async def test_a_reader_that_is_gone_costs_only_the_lines() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    log = AccessLog(writer)
    log.add(ENTRY)
    await asyncio.sleep(0.01)
    os.close(writer)


async def test_what_waits_is_bounded() -> None:
    log = AccessLog(-1)
    log.MAX_PENDING = 5
    for _ in range(50):
        log.add(ENTRY)
    assert len(log._pending) == 5
    await asyncio.sleep(0.01)
    assert not log._pending
