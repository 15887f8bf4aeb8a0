"""`hostPort`: the node listens, and carries each TCP connection and UDP flow to the pod. What is to be carried is
decided purely; UDP is carried by `hostudp`.

The client's address is the node's for the pod; a restarted kubelet listens again, open connections end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from panal import tasks
from panal.addresses import real_port

from . import podspec
from .admission import ANY
from .hostudp import Carrier
from .podspec import Pod

_log = logging.getLogger(__name__)

CHUNK = 64 * 1024
CONNECT_SECONDS = 10.0
BACKLOG = 128
_PAUSES = (0.1, 0.3, 1.0)
"""Seconds between attempts to listen: the pod that had the port before may just be going."""


@dataclass(frozen=True)
class Forward:
    """What comes to `address`:`port` of the node goes to `target_port` of `target`."""

    address: str
    port: int
    target: str
    target_port: int
    protocol: str = "TCP"


def forwards(pod: Pod, pod_ip: str, everywhere: str) -> frozenset[Forward]:
    """What is to be forwarded to the pod; `everywhere` is the address that stands for all of the node's. Pure."""
    if podspec.host_network(pod) or not pod_ip:
        return frozenset()
    return frozenset(
        Forward(
            _address(port.get("hostIP"), everywhere),
            int(port["hostPort"]),
            pod_ip,
            int(port["containerPort"]),
            port.get("protocol") or "TCP",
        )
        for spec in (*podspec.sidecars(pod), *podspec.containers(pod))
        for port in spec.get("ports") or ()
        if port.get("hostPort") and (port.get("protocol") or "TCP") in ("TCP", "UDP")
    )


def _address(wanted: str | None, everywhere: str) -> str:
    return everywhere if wanted in (None, "", ANY, "::") else str(wanted)


class HostPorts:
    """All that one node listens on for its pods."""

    def __init__(self) -> None:
        self._listening: dict[tuple[str, Forward], asyncio.Task[None]] = {}

    def follow(self, uid: str, wanted: frozenset[Forward], failed: Callable[[str], None]) -> None:
        """Listen for exactly these of the pod's; `failed` is called with a sentence for each that cannot be had."""
        for key in [key for key in self._listening if key[0] == uid and key[1] not in wanted]:
            self._listening.pop(key).cancel()
        for forward in wanted:
            if (uid, forward) not in self._listening:
                name = f"host port {forward.port}"
                self._listening[uid, forward] = tasks.spawn(_serve(forward, failed), name=name)

    async def close(self) -> None:
        for task in self._listening.values():
            await tasks.cancel(task)
        self._listening.clear()


async def _serve(forward: Forward, failed: Callable[[str], None]) -> None:
    for pause in (*_PAUSES, None):
        try:
            close = await (_listen_udp(forward) if forward.protocol == "UDP" else _listen_tcp(forward))
            break
        except OSError as error:
            if pause is None:
                failed(f"cannot listen on hostPort {forward.port}: {error.strerror or error}")
                return
            await asyncio.sleep(pause)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        close()


async def _listen_udp(forward: Forward) -> Callable[[], None]:
    """What ends it. Raises OSError."""
    target = (forward.target, real_port(forward.target_port))
    loop = asyncio.get_running_loop()
    address = (forward.address, real_port(forward.port))
    transport, _ = await loop.create_datagram_endpoint(lambda: Carrier(target), local_addr=address)
    return transport.abort


async def _listen_tcp(forward: Forward) -> Callable[[], None]:
    """What ends it and what it carries. Raises OSError."""
    carrying: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = tasks.spawn(_carry(forward, reader, writer), name="host port connection")
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    server = await asyncio.start_server(accepted, forward.address, real_port(forward.port), backlog=BACKLOG)

    def close() -> None:
        server.close()
        for task in list(carrying):
            task.cancel()

    return close


async def _carry(forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            inner = await asyncio.open_connection(forward.target, real_port(forward.target_port))
    except (OSError, TimeoutError) as error:
        _log.debug("host port %d: %s", forward.port, error)
        writer.transport.abort()
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, inner[1]), name="to the pod")
            group.create_task(_copy(inner[0], writer), name="from the pod")
    except* OSError:
        pass
    finally:
        for end in (writer, inner[1]):
            end.transport.abort() if end.transport.is_closing() else end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of what comes, which is passed on."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
