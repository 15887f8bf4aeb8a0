"""A DNS server that does what its Corefile says, also while the file changes and the API server is away.

A changed file is read as a whole: one with a mistake leaves everything as it was, is logged in CoreDNS' words and
counted. The file's folder is watched; nothing is polled.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from panal.addresses import real_port
from panal.client import Client
from panal.errors import StatusError
from panal.events import Recorder
from panal.linux import inotify
from panal.resources import CONFIGMAPS
from panal.tasks import spawn

from . import wire
from .build import load, plans
from .cluster import ClusterWatch
from .corefile import CorefileError
from .forward import Unreachable
from .health import health_servers
from .server import HINFO, Responder, Server
from .settings import Settings
from .zones import ClusterZones

NAME, NAMESPACE = "coredns", "kube-system"
"""Events about the Corefile are about this ConfigMap."""
_CLOSE_WRITE, _MOVED_TO, _CREATE = 0x8, 0x80, 0x100
_LOOP_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Running:
    """One server. Construct it, then `run` until cancelled. The constructor raises OSError, CorefileError."""

    def __init__(
        self,
        corefile: Path,
        environ: Mapping[str, str],
        client: Client,
        *,
        bind: str,
        port: int | None,
        own: Iterable[str],
        address: str | None,
    ) -> None:
        self._corefile, self._environ, self._client = corefile, environ, client
        self._bind, self._own, self._address = bind, tuple(own), address
        self._serial = int(time.time())
        self._recorder = Recorder(client, "coredns")
        self._digest = _digest(corefile)
        self._settings = load(corefile, environ)
        self._port = port if port is not None else self._settings.blocks[0].port
        self._responder = Responder(port=self._port)
        self._zones = self._cluster_zones(self._settings)
        self._watch: ClusterWatch | None = None
        self._reload_failed = 0
        self.exit_code = 0
        self._responder.follow(plans(self._settings, self._zones, environ, self._own))

    async def run(self) -> None:
        """Serve. Cancelled, it answers for the Corefile's `lameduck` more."""
        self._say(self._settings)
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._client.close)
                server = await stack.enter_async_context(Server(self._responder))
                await server.start(self._bind, real_port(self._port))
                changes = await stack.enter_async_context(_changes(self._corefile.parent))
                await stack.enter_async_context(self._health_servers(self._settings))
                try:
                    await self._serve(changes)
                finally:
                    if self._settings.lameduck and not self.exit_code:
                        _log.info("plugin/health: Going into lameduck mode for %gs", self._settings.lameduck)
                        await asyncio.sleep(self._settings.lameduck)
        except _LoopFound as found:
            _log.critical("%s", found)

    async def _serve(self, changes: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._reload(changes, group), name="reload")
                group.create_task(self._look_for_loops(), name="loop")
                self._start_watch(group)
        except* _LoopFound as found:
            self.exit_code = 1
            raise found.exceptions[0] from None

    def _start_watch(self, group: asyncio.TaskGroup) -> None:
        if self._zones is None or self._watch is not None:
            return
        self._watch = ClusterWatch(self._client, self._zones, self._responder.changed)
        group.create_task(self._watch.run(), name="watch the cluster")

    def _ready(self) -> bool:
        return self._settings.kubernetes is None or (self._watch is not None and self._watch.synced.is_set())

    @asynccontextmanager
    async def _health_servers(self, settings: Settings) -> AsyncIterator[None]:
        ports = {"health": settings.health, "ready": settings.ready, "metrics": settings.metrics}
        async with health_servers(self._bind, ports, self._responder, self._ready, lambda: self._reload_failed):
            yield

    def _cluster_zones(self, settings: Settings) -> ClusterZones | None:
        how = settings.kubernetes
        if how is None:
            return None
        return ClusterZones(how.domain, ttl=how.ttl, serial=self._serial, address=self._address, how=how)

    async def _reload(self, changes: asyncio.Event, group: asyncio.TaskGroup) -> None:
        """Follow the file as long as the Corefile in force says `reload`."""
        while True:
            await changes.wait()
            changes.clear()
            digest = _digest(self._corefile)
            if not self._settings.reload or digest in ("", self._digest):
                continue
            self._digest = digest
            _log.info("Reloading")
            try:
                self._take(load(self._corefile, self._environ), group)
            except (CorefileError, OSError) as error:
                self._reload_failed += 1
                _log.error("Restart failed: %s", error)
                self._tell("ReloadFailed", f"Restart failed: {error}")
                continue
            _log.info("plugin/reload: Running configuration SHA512 = %s", digest)
            _log.info("Reloading complete")

    def _take(self, settings: Settings, group: asyncio.TaskGroup) -> None:
        before = self._settings
        served = (before.health, before.ready, before.metrics, before.blocks[0].port)
        if (settings.health, settings.ready, settings.metrics, settings.blocks[0].port) != served:
            raise CorefileError("ports change with a restart of the pod only")
        same = settings.kubernetes == before.kubernetes
        zones = self._zones if same else self._cluster_zones(settings)
        found = plans(settings, zones, self._environ, self._own)
        self._settings, self._zones = settings, zones
        if not same and zones is not None:
            self._serial += 1
            if self._watch is not None:
                self._watch.replace(zones)
            self._start_watch(group)
        self._responder.follow(found)
        self._say(settings)

    def _say(self, settings: Settings) -> None:
        for what in settings.refused:
            _log.warning("Corefile:%s is not served here and left out", what.removeprefix("line "))
        if settings.refused:
            message = f"Directives that are not served here and left out: {', '.join(settings.refused)}"
            self._tell("UnsupportedDirective", message)

    def _tell(self, reason: str, message: str) -> None:
        spawn(self._event(reason, message), name=f"event {reason}")

    async def _event(self, reason: str, message: str) -> None:
        """About the ConfigMap, with its uid, without which `kubectl describe` would not find it."""
        try:
            about = await self._client.get(CONFIGMAPS, NAME, NAMESPACE)
        except (StatusError, OSError) as error:
            _log.warning("no event %s on the ConfigMap %s: %s", reason, NAME, error)
            return
        self._recorder.event({"apiVersion": "v1", "kind": "ConfigMap", **about}, "Warning", reason, message)

    async def _look_for_loops(self) -> None:
        """Ask upstream for a name nobody else asks for: comes it back here, every question goes in circles."""
        for zone, plan in [*self._responder.plans.items()]:
            blocks = [block for block in self._settings.blocks if zone in block.zones]
            if plan.forwarder is None or not any(block.loop for block in blocks):
                continue
            name = wire.name(f"{random.getrandbits(62)}.{random.getrandbits(62)}.{wire.text(zone)}".rstrip("."))
            came_back = asyncio.Event()
            self._responder.watched = functools.partial(_seen, name, came_back)
            try:
                async with asyncio.timeout(_LOOP_SECONDS):
                    await plan.forwarder.resolve(name, HINFO)
            except (Unreachable, TimeoutError):
                pass
            finally:
                self._responder.watched = None
            if came_back.is_set():
                raise _LoopFound(zone, self._port, name)


def _seen(wanted: bytes, came_back: asyncio.Event, asked: bytes) -> None:
    if asked == wanted:
        came_back.set()


class _LoopFound(Exception):
    """A forwarded question came back."""

    def __init__(self, zone: bytes, port: int, name: bytes) -> None:
        shown = wire.text(zone).rstrip(".") + "."
        super().__init__(
            f'plugin/loop: Loop (-> :{port}) detected for zone "{shown}", see'
            f' https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO {wire.text(name)}."'
        )


def _digest(path: Path) -> str:
    """SHA-512 of the file as CoreDNS logs it; "" where it can't be read."""
    try:
        return hashlib.sha512(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@asynccontextmanager
async def _changes(folder: Path) -> AsyncIterator[asyncio.Event]:
    """Set whenever a file of the folder was written or replaced."""
    changed = asyncio.Event()
    descriptor = inotify(folder, _CLOSE_WRITE | _MOVED_TO | _CREATE)

    def readable() -> None:
        try:
            os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        changed.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, readable)
    try:
        yield changed
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
