"""/exec, /attach and /portForward of the kubelet's port: WebSocket and SPDY, for the API server to pass on.

What is wrong before the connection is upgraded is answered in HTTP; afterwards on the error stream.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import web

from panal import channels
from panal.hijack import Hijacked

from ..runtime.contract import Container, ContainerState, Runtime, RuntimeFailure, Session
from . import podspec, portforward, spdyremote, wsremote
from .carry import Remote, carry
from .kubelet import Kubelet
from .portforward import Forwarder
from .spdyserver import Connection, Duplex
from .worker import Worker

_log = logging.getLogger(__name__)

_COMMAND_LIMIT = 64 * 1024
_WORDS_LIMIT = 4096


class Refused(Exception):
    """An answer in HTTP instead of a stream."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """Which streams a request wants."""

    streams: tuple[str, ...]
    tty: bool


class Streaming:
    """The handlers; `register` adds them to the port's routes."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet

    def register(self, router: web.UrlDispatcher) -> None:
        for path, handler in (
            ("/exec/{namespace}/{pod}/{container}", self._exec),
            ("/attach/{namespace}/{pod}/{container}", self._attach),
        ):
            for method in ("GET", "POST"):
                router.add_route(method, path, _refusing(handler))
        for method in ("GET", "POST"):
            router.add_route(method, "/portForward/{namespace}/{pod}", _refusing(self._port_forward))

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        asked = asked_streams(request)
        command = request.query.getall("command", [])
        if not command:
            raise Refused(400, "you must specify at least 1 command")
        if len(command) > _WORDS_LIMIT or sum(map(len, command)) > _COMMAND_LIMIT:
            raise Refused(400, "the command is too long")
        container = self._running_container(request)
        opened = self._runtime.open_exec(container.id, command, streams=asked.streams, tty=asked.tty)
        return await self._serve(request, asked, opened, channels.exited, "error executing command in container")

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        asked = asked_streams(request)
        container = self._running_container(request)
        asked = Asked(asked.streams, asked.tty or container.config.tty)
        opened = self._runtime.attach(container.id, streams=asked.streams)
        return await self._serve(request, asked, opened, lambda _: channels.succeeded(), "error attaching to container")

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        pod = self._worker(request).pod
        sandbox = self._kubelet.view.pod(podspec.uid(pod)).sandbox
        if sandbox is None or not sandbox.ready:
            raise Refused(500, f"unable to do port forwarding: pod {podspec.name(pod)} is not running")
        sandbox_id = sandbox.id

        async def dial(port: int) -> int:
            return await self._runtime.connect(sandbox_id, port)

        response, duplex = await _accept_forward(request)
        async with Connection(duplex) as connection:
            named = f"{podspec.name(pod)}_{podspec.namespace(pod)}, uid {podspec.uid(pod)}"
            await Forwarder(connection, dial, named).run()
        return response

    @property
    def _runtime(self) -> Runtime:
        return self._kubelet.shared.runtime

    def _worker(self, request: web.Request) -> Worker:
        worker = self._kubelet.worker_named(request.match_info["namespace"], request.match_info["pod"])
        if worker is None:
            raise Refused(404, "pod does not exist")
        return worker

    def _running_container(self, request: web.Request) -> Container:
        name = request.match_info["container"]
        attempts = self._kubelet.view.pod(podspec.uid(self._worker(request).pod)).containers.get(name)
        if not attempts or attempts[-1].state is not ContainerState.RUNNING:
            raise Refused(404, f'container not found ("{name}")')
        return attempts[-1]

    async def _serve(
        self,
        request: web.Request,
        asked: Asked,
        opened: AbstractAsyncContextManager[Session],
        ending: Callable[[int], bytes],
        failure: str,
    ) -> web.StreamResponse:
        response, remote = await _accept(request, asked)
        try:
            async with opened as session:
                status = ending(await carry(session, remote))
        except ConnectionError:
            _log.debug("the user of %s has gone", request.path)
        except RuntimeFailure as error:
            await remote.finish(channels.failed(f"{failure}: {error}"))
        else:
            await remote.finish(status)
        finally:
            await remote.close()
        return response


async def _accept(request: web.Request, asked: Asked) -> tuple[web.StreamResponse, Remote]:
    """The connection upgraded. Raises Refused, ConnectionError."""
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade == "websocket":
        offered = wsremote.offered(request)
        protocol = channels.choose(offered) if offered else ""
        if protocol is None:
            raise Refused(400, f"unable to upgrade: none of the protocols {offered} is supported")
        socket = await wsremote.accept(request, protocol)
        return socket, wsremote.WebSocketRemote(socket)
    if upgrade == "spdy/3.1":
        offered = spdyremote.offered(request)
        if channels.V4 not in offered:
            raise Refused(403, f"unable to upgrade: unable to negotiate protocol: client supports {offered}")
        hijacked = Hijacked(request)
        return hijacked, await spdyremote.accept(hijacked, channels.V4, asked.streams, tty=asked.tty)
    raise Refused(400, "unable to upgrade: missing upgrade headers in request")


async def _accept_forward(request: web.Request) -> tuple[web.StreamResponse, Duplex]:
    """The connection upgraded. Raises Refused, ConnectionError."""
    upgrade = request.headers.get("Upgrade", "").lower()
    if upgrade == "websocket" and portforward.TUNNEL in wsremote.offered(request):
        socket = await wsremote.accept(request, portforward.TUNNEL)
        return socket, wsremote.WebSocketDuplex(socket)
    if upgrade == "spdy/3.1" and portforward.PROTOCOL in spdyremote.offered(request):
        hijacked = Hijacked(request)
        return hijacked, spdyremote.upgrade(hijacked, portforward.PROTOCOL)
    raise Refused(400, "unable to upgrade: the protocol is not supported")


def asked_streams(request: web.Request) -> Asked:
    """The streams of a request's query. Raises Refused."""
    tty = _flag(request, "tty")
    names = (("input", "stdin"), ("output", "stdout"), ("error", "stderr"))
    streams = tuple(stream for name, stream in names if _flag(request, name) and not (tty and stream == "stderr"))
    if not streams:
        raise Refused(400, "you must specify at least 1 of stdin, stdout, stderr")
    return Asked(streams, tty)


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "0").lower() not in ("", "0", "false")


def _refusing(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.status, text=str(refused))

    return handle
