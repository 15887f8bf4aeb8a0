"""What every component does first, done once in the process that they are forked from.

Reading arguments and a kubeconfig, logging, a TLS handshake, lists and watches, a controller's queue: all of it makes
OpenSSL and the interpreter fill tables, caches and specialised code, which each component would otherwise write into
pages of its own. So a component in miniature lives here for some milliseconds, with a server that answers it over a
pair of sockets. The keys live no longer than that, and the loop and its threads are gone before anything is forked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import logging
import os
import signal
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from panal import kubeconfig, log
from panal.client import Client, tls_context
from panal.controllers import Controller
from panal.http1 import Connection, Pool
from panal.informer import Applied, Delta, Informer, key_of
from panal.pki import Authority
from panal.resources import CONFIGMAPS, PODS, SERVICES
from panal.tasks import run_until_signal

ROUNDS = 8
"""How often each thing is done: enough for the interpreter to specialise what runs."""
_SECONDS = 2.0
"""A machine that needs longer starts its components unprepared."""
_WATCHED = (PODS, SERVICES, CONFIGMAPS)


def warm_up() -> int:
    """Live through it. Takes some 40 ms. Returns how many objects were written and seen again in a watch."""
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.create("warm-up", now)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine, yours = authority.server("localhost", ["localhost"], now), authority.client("a component", [], now)
    with tempfile.TemporaryDirectory() as folder:  # 0700
        pair, config = Path(folder) / "pair", Path(folder) / "config"
        pair.write_bytes(mine.key + mine.certificate)
        serving.load_cert_chain(pair)
        document = kubeconfig.document(
            "warm-up",
            server="https://localhost",
            ca=authority.certificate,
            certificate=yours.certificate,
            key=yours.key,
            user="a component",
        )
        config.write_bytes(orjson.dumps(document))
        access = kubeconfig.access(_arguments(["--kubeconfig", os.fspath(config), "--name", "a"]).kubeconfig)
    serving.verify_mode = ssl.CERT_OPTIONAL
    serving.load_verify_locations(cadata=authority.certificate.decode())
    component = _Component(access, serving)
    with _quiet_log(), _same_signals():
        run_until_signal(component.run)
    return len(component.seen)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    for _ in range(ROUNDS):
        parser = argparse.ArgumentParser(prog="warm-up", allow_abbrev=False)
        parser.add_argument("--kubeconfig", type=Path, required=True)
        parser.add_argument("--name", default="", help="as it is called")
        parser.add_argument("--port", type=int, default=0)
        parser.add_argument("--verbose", action="store_true")
        found = parser.parse_args(list(argv))
    return found


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Log as components do, into nothing, and leave no trace of it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with open(os.devnull, "w") as nowhere:
        log.setup("warm-up")
        root.handlers[:] = [logging.StreamHandler(nowhere)]
        try:
            yield
        finally:
            root.handlers[:], root.level = before


@contextlib.contextmanager
def _same_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Component:
    """Follows some resources, and writes an object for each that it sees."""

    def __init__(self, access: kubeconfig.Access, serving: ssl.SSLContext) -> None:
        self.seen: set[str] = set()
        self._access, self._serving = access, serving
        self._controller: Controller[str] = Controller("warm-up", self._reconcile, workers=2)
        self._done = asyncio.Event()

    async def run(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS), _Client(self._access, self._serving) as self._client:
                await self._follow()

    async def _follow(self) -> None:
        informers = [Informer(self._client, resource) for resource in _WATCHED]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._controller.run())]
            for informer in informers:
                informer.subscribe(self._told)
                tasks.append(group.create_task(informer.run()))
            for informer in informers:
                await informer.synced()
            await self._done.wait()
            for task in tasks:
                task.cancel()

    def _told(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._controller.queue.add(key_of(delta.new)[1])

    async def _reconcile(self, name: str) -> None:
        logging.getLogger(__name__).info("seen %s", name)
        obj = {"metadata": {"name": name, "namespace": "default"}}
        await self._client.create(PODS, obj)
        await self._client.patch(PODS, name, {"status": {}}, "default", subresource="status")
        self.seen.add(name)
        if len(self.seen) == ROUNDS:
            self._done.set()


class _Client(Client):
    """Its connections are pairs of sockets, with a server at the other end."""

    def __init__(self, access: kubeconfig.Access, serving: ssl.SSLContext) -> None:
        super().__init__(access)
        self._serving = serving

    def _open(self) -> Pool:
        if self._pool is None:
            self._pool = _Pool(self.server, tls_context(self._access), {}, self._serving)
        return self._pool


class _Pool(Pool):
    def __init__(self, base: str, secure: ssl.SSLContext, headers: Mapping[str, str], serving: ssl.SSLContext) -> None:
        super().__init__(base, secure, headers)
        self._serving = serving

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        serving = loop.create_task(loop.connect_accepted_socket(_Server, far, ssl=self._serving))
        _, connection = await loop.create_connection(
            Connection, sock=near, ssl=self._secure, server_hostname="localhost"
        )
        await serving
        return connection


class _Server(asyncio.Protocol):
    """Answers any request: a list and a watch of some objects, and what is written as it came."""

    _transport: asyncio.Transport
    _received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        if not end or len(body) < length:
            return
        self._received = b""
        if head.startswith(b"GET") and b"watch=true" in head:
            self._transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(ROUNDS):
                event = orjson.dumps({"type": "ADDED", "object": _object(f"object-{number}", "2")}) + b"\n"
                self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            return
        if head.startswith(b"GET"):
            body = orjson.dumps({"metadata": {"resourceVersion": "1"}, "items": [_object("object-0", "1")]})
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


def _object(name: str, version: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "uid": name, "resourceVersion": version, "labels": {"app": "a"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "a"}]}}
