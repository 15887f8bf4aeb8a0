"""agnhost's servers as a pod runs them: real processes, real connections."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, TCPConnector

from panal.pki import Authority


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def _running(*words: str) -> AsyncIterator[None]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PANAL_")}
    command = [sys.executable, "-m", "panal.agents.agnhost", *words]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _answer(session: ClientSession, url: str, body: Any = None) -> Any:
    """What the server says once it listens."""
    method = "GET" if body is None else "POST"
    async with asyncio.timeout(30):
        while True:
            try:
                async with session.request(method, url, json=body) as response:
                    return json.loads(await response.text())
            except ClientError:
                await asyncio.sleep(0.1)


async def test_the_webhook_answers_reviews_over_https(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ca = Authority.create("ca", now)
    pair = ca.server("webhook", ["localhost"], now)
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    port = _free()
    flags = [f"--tls-cert-file={tmp_path}/tls.crt", f"--tls-private-key-file={tmp_path}/tls.key", f"--port={port}"]
    flags += ["--alsologtostderr", "-v=4"]
    trust = ssl.create_default_context(cadata=ca.certificate.decode())
    review = {"apiVersion": "admission.k8s.io/v1", "request": {"uid": "u1"}}
    async with _running("webhook", *flags), ClientSession(connector=TCPConnector(ssl=trust)) as session:
        answer = await _answer(session, f"https://localhost:{port}/always-deny", review)
    assert answer["response"]["uid"] == "u1"
    assert answer["response"]["status"]["message"] == "this webhook denies all requests"


async def test_a_guestbook_keeps_what_is_set() -> None:
    port = _free()
    async with _running("guestbook", f"--http-port={port}"), ClientSession() as session:
        at = f"http://127.0.0.1:{port}"
        assert await _answer(session, f"{at}/get?key=messages") == {"data": ""}
        assert await _answer(session, f"{at}/set?key=messages&value=hello") == {"message": "Updated"}
        assert await _answer(session, f"{at}/get?key=messages") == {"data": "hello"}
        assert await _answer(session, f"{at}/register?host=127.0.0.1") == {"data": {"messages": "hello"}}
