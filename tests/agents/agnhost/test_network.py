"""agnhost's network commands as a pod runs them: what they log, serve over TLS, hear from peers, and find open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientError, ClientSession

from panal.tasks import spawn


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(**more: str) -> dict[str, str]:
    return {**{name: text for name, text in os.environ.items() if not name.startswith("PANAL_")}, **more}


@contextlib.asynccontextmanager
async def _running(*words: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "panal.agents.agnhost", *words,
        env=_environment(**environment), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _page(session: ClientSession, url: str, **options: Any) -> tuple[int, str, str]:
    async with asyncio.timeout(30):
        while True:
            try:
                async with session.request(options.pop("method", "GET"), url, ssl=False, **options) as answer:
                    return answer.status, answer.content_type, await answer.text()
            except ClientError:
                await asyncio.sleep(0.1)


async def test_netexec_logs_each_request_with_its_parameters() -> None:
    port = _free()
    async with _running("netexec", f"--http-port={port}", "--udp-port=-1") as process, ClientSession() as session:
        assert (await _page(session, f"http://127.0.0.1:{port}/echo?msg=prestop"))[2] == "prestop"
        assert process.stderr is not None
        lines = [(await process.stderr.readline()).decode() for _ in range(2)]
    assert lines[0].endswith(f"Started HTTP server on port {port}\n")
    assert lines[1].endswith("GET /echo?msg=prestop&code=\n")


async def test_netexec_serves_the_override_whatever_is_asked() -> None:
    port = _free()
    words = ("netexec", f"--http-port={port}", "--udp-port=-1", "--http-override=/echo?msg=over&code=202")
    async with _running(*words), ClientSession() as session:
        assert (await _page(session, f"http://127.0.0.1:{port}/hostname"))[::2] == (202, "over")


async def test_a_porter_serves_plain_and_over_tls_without_any_files() -> None:
    plain, secure = _free(), _free()
    pages = {f"SERVE_PORT_{plain}": '<a href="/x">x</a>', f"SERVE_TLS_PORT_{secure}": "tls baz"}
    async with _running("porter", **pages), ClientSession() as session:
        assert await _page(session, f"http://127.0.0.1:{plain}/") == (200, "text/html", '<a href="/x">x</a>')
        assert await _page(session, f"https://127.0.0.1:{secure}/any") == (200, "text/plain", "tls baz")


async def test_a_nettest_remembers_who_wrote() -> None:
    port = _free()
    async with _running("nettest", f"--port={port}"), ClientSession() as session:
        at = f"http://127.0.0.1:{port}"
        await _page(session, f"{at}/write", method="POST", data='{"Source": "prestop"}')
        assert '"prestop": 1' in (await _page(session, f"{at}/read"))[2]


async def test_nc_tells_open_ports_from_closed_ones_and_carries_datagrams() -> None:
    async def nc(*words: str, said: bytes = b"") -> tuple[int | None, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "panal.agents.agnhost", "nc", *words, env=_environment(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(said), 30)
        return process.returncode, out, err

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, _, err = await nc("-zv", "-t", "-w", "2", "127.0.0.1", str(port))
        assert (code, err) == (0, f"Connection to 127.0.0.1 {port} port [tcp/*] succeeded!\n".encode())
    code, _, err = await nc("-vz", "-w", "2", "127.0.0.1", str(port))
    assert (code, err) == (1, f"nc: connect to 127.0.0.1 port {port} (tcp) failed: Connection refused\n".encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        datagrams = str(peer.getsockname()[1])
        asking = spawn(nc("-w", "1", "-u", "127.0.0.1", datagrams, said=b"hostName"), name="nc")
        peer.setblocking(False)
        data, sender = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(peer, 100), 30)
        peer.sendto(b"me", sender)
        assert (data, (await asking)[:2]) == (b"hostName", (0, b"me"))
