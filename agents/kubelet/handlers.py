"""Running what probes and lifecycle hooks ask for: exec, httpGet, tcpSocket, grpc, sleep.

Answers are (whether it went well, output) with upstream's texts, which end up in Unhealthy events.
"""

from __future__ import annotations

import asyncio
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from panal.addresses import real_port

from ..runtime.contract import RuntimeFailure, Streams
from . import grpc_health
from .podspec import ContainerSpec

if TYPE_CHECKING:
    import aiohttp

USER_AGENT = "kube-probe/1.36"
BODY_LIMIT = 10 * 1024
"""Bytes of an answer that are read, as upstream."""


@dataclass(frozen=True)
class Target:
    """The container that a handler is for."""

    container_id: str
    spec: ContainerSpec
    pod_ip: str


@dataclass(frozen=True)
class Outcome:
    success: bool
    output: str


class HandlerError(ValueError):
    """A handler that cannot be run as it is written."""


class Handlers:
    """Runs handlers from the node's network. Close it when done."""

    def __init__(self, runtime: Streams) -> None:
        self._runtime = runtime
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def run(self, handler: Mapping[str, Any], target: Target, timeout: float | None) -> Outcome:
        """Run one handler. Never raises but for cancellation."""
        try:
            if (action := handler.get("exec")) is not None:
                return await self._exec(action, target, timeout)
            if (action := handler.get("httpGet")) is not None:
                return await self._http(action, target, timeout)
            if (action := handler.get("tcpSocket")) is not None:
                return await _tcp(action.get("host") or target.pod_ip, port_of(target.spec, action["port"]), timeout)
            if (action := handler.get("grpc")) is not None:
                return await _grpc(target.pod_ip, action, timeout)
            if (action := handler.get("sleep")) is not None:
                await asyncio.sleep(float(action["seconds"]))
                return Outcome(True, "")
        except HandlerError as error:
            return Outcome(False, str(error))
        return Outcome(False, "missing probe handler")

    async def _exec(self, action: Mapping[str, Any], target: Target, timeout: float | None) -> Outcome:
        command = list(action.get("command") or ())
        try:
            answer = await self._runtime.exec(target.container_id, command, timeout=timeout)
        except TimeoutError:
            return Outcome(False, f'command timed out: "{shlex.join(command)}" timed out after {_seconds(timeout)}')
        except RuntimeFailure as error:
            return Outcome(False, str(error))
        output = (answer.stdout + answer.stderr)[:BODY_LIMIT].decode(errors="replace")
        return Outcome(answer.exit_code == 0, output)

    async def _http(self, action: Mapping[str, Any], target: Target, timeout: float | None) -> Outcome:
        import aiohttp

        port = port_of(target.spec, action["port"])
        scheme = str(action.get("scheme") or "HTTP").lower()
        host = action.get("host") or target.pod_ip
        path = str(action.get("path") or "/")
        if not path.startswith("/"):
            path = f"/{path}"
        shown = f"{scheme}://{host}:{port}{path}"
        try:
            async with self._open().get(
                _url(scheme, host, port, path),
                headers=_headers(action, f"{host}:{port}"),
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                body = (await response.content.read(BODY_LIMIT)).decode(errors="replace")
                if 200 <= response.status < 400:
                    return Outcome(True, body)
                return Outcome(False, f"HTTP probe failed with statuscode: {response.status}")
        except TimeoutError:
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        except aiohttp.ClientConnectorError as error:
            why = f"dial tcp {host}:{port}: connect: {_reason(error.os_error)}"
        except (aiohttp.ClientError, ValueError, OSError) as error:
            why = str(error) or "EOF"
        return Outcome(False, f'Get "{shown}": {why}')

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0, ssl=_unverified()),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


def _unverified() -> ssl.SSLContext:
    """Probes do not verify certificates (upstream's documented behaviour)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _url(scheme: str, host: str, port: int, path: str) -> Any:
    from yarl import URL

    where = f"[{host}]" if ":" in host else host
    return URL(f"{scheme}://{where}:{real_port(port)}{path}", encoded=True)


def _headers(action: Mapping[str, Any], host: str) -> list[tuple[str, str]]:
    found = {"User-Agent": USER_AGENT, "Accept": "*/*", "Host": host}
    found.update({item["name"]: item["value"] for item in action.get("httpHeaders") or ()})
    return [(name, value) for name, value in found.items() if value]


def port_of(spec: ContainerSpec, port: int | str) -> int:
    """A port by number or by the name of one of the container's ports. Raises HandlerError."""
    text = str(port)
    if text.isdecimal():
        return int(text)
    for entry in spec.get("ports") or ():
        if entry.get("name") == text:
            return int(entry["containerPort"])
    raise HandlerError(f"couldn't find port: {text}")


async def _tcp(host: str, port: int, timeout: float | None) -> Outcome:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, real_port(port))
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: connect: {_reason(error)}")
    writer.close()
    return Outcome(True, "")


async def _grpc(host: str, action: Mapping[str, Any], timeout: float | None) -> Outcome:
    port = int(action["port"])
    try:
        async with asyncio.timeout(timeout):
            serving = await grpc_health.check(host, real_port(port), str(action.get("service") or ""))
    except TimeoutError:
        return Outcome(False, f'timeout: failed to connect service "{host}:{port}" within {_seconds(timeout)}')
    except (OSError, grpc_health.NotGRPC) as error:
        return Outcome(False, f'error: failed to connect service "{host}:{port}": {error}')
    return Outcome(serving, "" if serving else 'service unhealthy (responded with "NOT_SERVING")')


def _reason(error: OSError) -> str:
    """The system's words as Go prints them."""
    import os

    text = os.strerror(error.errno) if error.errno and error.errno > 0 else (error.strerror or str(error))
    return text[:1].lower() + text[1:]


def _seconds(timeout: float | None) -> str:
    return f"{timeout or 0:g}s"
