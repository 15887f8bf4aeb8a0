"""Running what probes and lifecycle hooks ask for: exec, httpGet, tcpSocket, grpc, sleep.

Answers are (whether it went well, output) with upstream's texts, which end up in Unhealthy events.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from panal.addresses import real_port

from ..runtime.contract import RuntimeFailure, Streams
from . import grpc_health, http_probe
from .http_probe import BODY_LIMIT, http_request, reason
from .outcome import Outcome
from .podspec import ContainerSpec

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True)
class Target:
    """The container that a handler is for."""

    container_id: str
    spec: ContainerSpec
    pod_ip: str


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
            return Outcome(False, str(error), errored=True)
        return Outcome(False, "missing probe handler", errored=True)

    async def _exec(self, action: Mapping[str, Any], target: Target, timeout: float | None) -> Outcome:
        command = list(action.get("command") or ())
        try:
            answer = await self._runtime.exec(target.container_id, command, timeout=timeout)
        except TimeoutError:
            return Outcome(False, f'command timed out: "{shlex.join(command)}" timed out after {_seconds(timeout)}')
        except RuntimeFailure as error:
            why = f"failed to exec in container: failed to start exec: {error}"
            return Outcome(False, f"rpc error: code = Unknown desc = {why}", errored=True)
        output = (answer.stdout + answer.stderr)[:BODY_LIMIT].decode(errors="replace")
        return Outcome(answer.exit_code == 0, output)

    async def _http(self, action: Mapping[str, Any], target: Target, timeout: float | None) -> Outcome:
        port = port_of(target.spec, action["port"])
        request = http_request(action, port, target.pod_ip)
        return await http_probe.get(self._open(), request, timeout)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = http_probe.session()
        return self._session


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
        return Outcome(False, f"dial tcp {host}:{port}: connect: {reason(error)}")
    writer.close()
    return Outcome(True, "")


async def _grpc(host: str, action: Mapping[str, Any], timeout: float | None) -> Outcome:
    port = int(action["port"])
    where = f"{host}:{port}"
    connected = False

    def now_connected() -> None:
        nonlocal connected
        connected = True

    try:
        async with asyncio.timeout(timeout):
            status = await grpc_health.check(host, real_port(port), str(action.get("service") or ""), now_connected)
    except TimeoutError:
        if connected:
            return Outcome(False, f"timeout: health rpc did not complete within {_seconds(timeout)}")
        why = f"within {_seconds(timeout)}: context deadline exceeded"
        return Outcome(False, f'timeout: failed to connect service "{where}" {why}')
    except grpc_health.NotGRPC as error:
        return Outcome(False, f"error: health rpc probe failed: {error}")
    except OSError as error:
        if connected:
            return Outcome(False, f"error: health rpc probe failed: {reason(error)}")
        # gRPC connects again and again until its time is over
        why = f"within {_seconds(timeout)}: context deadline exceeded: connect: {reason(error)}"
        return Outcome(False, f'timeout: failed to connect service "{where}" {why}')
    if status == "SERVING":
        return Outcome(True, "service healthy")
    return Outcome(False, f'service unhealthy (responded with "{status}")')


def _seconds(timeout: float | None) -> str:
    return f"{timeout or 0:g}s"
