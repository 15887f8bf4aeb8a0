"""What probes and hooks do, against real sockets; their words are upstream's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from panal.agents.kubelet.handlers import Handlers, Target
from panal.agents.kubelet.http_probe import http_request
from panal.agents.kubelet.outcome import Outcome
from panal.agents.runtime.contract import ExecResult, RuntimeFailure

from ...ports import free_port


class Streams:
    """Containers whose every command does what `answer` says."""

    def __init__(self, answer: ExecResult | Exception | None = None) -> None:
        self._answer = answer

    async def exec(self, *_: Any, **__: Any) -> ExecResult:
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer

    async def usage(self, container_id: str) -> Any:
        raise RuntimeFailure(container_id)


async def run(handler: dict[str, Any], port: int = 0, timeout: float = 1, streams: Any = None) -> Outcome:
    spec = {"name": "web", "ports": [{"name": "http", "containerPort": port}]}
    handlers = Handlers(streams or Streams())
    try:
        return await handlers.run(handler, Target("id", spec, "127.0.0.1"), timeout)
    finally:
        await handlers.close()


@asynccontextmanager
async def site() -> AsyncIterator[tuple[int, list[web.Request]]]:
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        if request.path == "/slow":
            await asyncio.sleep(5)
        if (where := request.query.get("to")) is not None:
            return web.Response(status=302, headers={"Location": where}, text="moved")
        status = int(request.path.strip("/") or 200)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "success", "output"),
    [
        ("/", True, ""),
        ("/204", True, ""),
        ("/404", False, "HTTP probe failed with statuscode: 404"),
        ("500", False, "HTTP probe failed with statuscode: 500"),
    ],
)
async def test_http_is_well_from_200_to_399(path: str, success: bool, output: str) -> None:
    async with site() as (port, asked):
        headers = [{"name": "X-Probe", "value": "1"}, {"name": "Host", "value": "web1.miempresa.com"}]
        found = await run({"httpGet": {"path": path, "port": "http", "httpHeaders": headers}}, port)
    assert found == Outcome(success, output)
    sent = asked[0].headers
    assert (sent["User-Agent"], sent["Host"], sent["X-Probe"]) == ("kube-probe/1.36", "web1.miempresa.com", "1")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?to=/200", Outcome(True, "")),
        ("/?to=/503", Outcome(False, "HTTP probe failed with statuscode: 503")),
        (
            "/?to=http://elsewhere.example/503",
            Outcome(True, "Probe terminated redirects, Response body: moved", warning=True),
        ),
        ("/304", Outcome(True, "Probe terminated redirects, Response body: ", warning=True)),
    ],
)
async def test_redirects_are_followed_within_the_host_and_no_further(path: str, expected: Outcome) -> None:
    async with site() as (port, _):
        assert await run({"httpGet": {"path": path, "port": port}}, port) == expected


async def test_a_ring_of_redirects_is_a_failure() -> None:
    async with ring_site() as port:
        found = await run({"httpGet": {"path": "/", "port": port}}, port)
    assert found == Outcome(False, f'Get "http://127.0.0.1:{port}/": stopped after 10 redirects')


@asynccontextmanager
async def ring_site() -> AsyncIterator[int]:
    async def round_and_round(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/again"})

    app = web.Application()
    app.router.add_get("/{tail:.*}", round_and_round)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def test_headers_of_the_manifest_replace_the_usual_ones_and_may_repeat() -> None:
    def sent(*headers: tuple[str, str]) -> list[tuple[str, str]]:
        action = {"port": 80, "httpHeaders": [{"name": name, "value": value} for name, value in headers]}
        return list(http_request(action, 80, "10.0.0.9").headers)

    usual = [("User-Agent", "kube-probe/1.36"), ("Accept", "*/*"), ("Host", "10.0.0.9:80")]
    assert sent() == usual
    assert sent(("X-A", "1"), ("X-A", "2")) == [*usual, ("X-A", "1"), ("X-A", "2")]
    assert sent(("user-agent", "mine"), ("Accept", "")) == [usual[2], ("user-agent", "mine")]
    assert http_request({"port": 8443, "scheme": "HTTPS", "path": "x?a=1"}, 8443, "fd00::1").shown == (
        "https://[fd00::1]:8443/x?a=1"
    )


async def test_https_asks_for_no_valid_certificate(tmp_path: Path) -> None:
    context = self_signed(tmp_path)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="secure")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        port = runner.addresses[0][1]
        assert await run({"httpGet": {"port": port, "scheme": "HTTPS"}}, port) == Outcome(True, "secure")
        assert (await run({"httpGet": {"port": port}}, port)).success is False
    finally:
        await runner.cleanup()


def self_signed(folder: Path) -> ssl.SSLContext:
    """What a server needs that nobody vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "expired.example")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    no_password = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    (folder / "key.pem").write_bytes(text)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_http_that_nobody_answers_is_told_as_go_would() -> None:
    port = free_port()
    found = await run({"httpGet": {"path": "/x", "port": port}})
    where = f"127.0.0.1:{port}"
    assert found == Outcome(False, f'Get "http://{where}/x": dial tcp {where}: connect: connection refused')
    async with site() as (slow, _):
        found = await run({"httpGet": {"path": "/slow", "port": slow}}, timeout=0.1)
    assert "context deadline exceeded" in found.output


async def test_tcp() -> None:
    async with site() as (port, _):
        assert await run({"tcpSocket": {"port": port}}) == Outcome(True, "")
    port = free_port()
    words = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert await run({"tcpSocket": {"port": port}}) == Outcome(False, words)
    assert (await run({"tcpSocket": {"port": "none"}})).output == "couldn't find port: none"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ExecResult(0, b"fine\n", b""), Outcome(True, "fine\n")),
        (ExecResult(1, b"", b"cat: can't open\n"), Outcome(False, "cat: can't open\n")),
        (TimeoutError(), Outcome(False, 'command timed out: "cat x" timed out after 1s')),
        (
            RuntimeFailure("no such container"),
            Outcome(
                False,
                "rpc error: code = Unknown desc = failed to exec in container: failed to start exec: no such container",
                errored=True,
            ),
        ),
    ],
)
async def test_exec(answer: Any, expected: Outcome) -> None:
    assert await run({"exec": {"command": ["cat", "x"]}}, streams=Streams(answer)) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (1, Outcome(True, "service healthy")),
        (2, Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')),
        (3, Outcome(False, 'service unhealthy (responded with "SERVICE_UNKNOWN")')),
    ],
)
async def test_grpc(status: int, expected: Outcome) -> None:
    asked = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One HTTP/2 exchange, frame by frame: SETTINGS, HEADERS (:status 200), DATA."""
        asked.extend(await reader.readuntil(b"db"))
        message = b"\0\0\0\0\2\x08" + bytes([status])
        writer.write(b"\0\0\0\4\0\0\0\0\0")
        writer.write(b"\0\0\1\1\4\0\0\0\1\x88")
        writer.write(bytes([0, 0, len(message), 0, 0, 0, 0, 0, 1]) + message)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await run({"grpc": {"port": port, "service": "db"}}) == expected
    assert asked.startswith(b"PRI * HTTP/2.0")


async def test_grpc_that_is_not_there_or_does_not_answer() -> None:
    port = free_port()
    found = await run({"grpc": {"port": port}})
    assert found.output.startswith(f'timeout: failed to connect service "127.0.0.1:{port}" within 1s')

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await run({"grpc": {"port": port}}, timeout=0.1)
    assert found == Outcome(False, "timeout: health rpc did not complete within 0.1s")


async def test_sleep_is_well_in_the_end() -> None:
    assert await run({"sleep": {"seconds": 0}}) == Outcome(True, "")
