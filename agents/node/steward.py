"""The steward: process 1 of a cluster. It builds the LAN, starts and restarts what runs there, and reaps what ends.

When it ends, everything ends: in `netns` the kernel kills whatever is in its PID namespace, in `loopback` it kills its
descendants itself, or the keeper does. It ends when it is told to, and when the keeper has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from panal import cleanup, linux, log
from panal.agents.network.contract import Space
from panal.agents.network.factory import open_lan
from panal.agents.runtime.request import SpawnRequest
from panal.agents.runtime.spawner import Spawner
from panal.agents.runtime.title import set_title
from panal.config import ClusterConfig, load_cluster
from panal.paths import ClusterPaths
from panal.tasks import spawn

from . import zygote
from .components import Component, components, hosts, modules_of
from .control import API_ANSWERS, Control, Progress
from .keeper import receive
from .orphans import reap
from .supervise import Supervised

_log = logging.getLogger(__name__)

_MORE = 10.0
"""Seconds beyond the grace after which nobody waits for pods any more."""


class StartFailed(Exception):
    """The cluster can't start; the message is a sentence for the user."""


def run(paths: ClusterPaths, lifeline: socket.socket, first: zygote.Zygote) -> int:
    """Run the cluster until it is told to end. Called in a process of its own, with no loop or thread.

    The word on the lifeline says that it is meant: the keeper's descriptors of steward.sock and of the folder's lock,
    which is held as long as this process lives.
    """
    with contextlib.suppress(OSError):
        linux.become_subreaper()
        set_title(["panal-steward", os.fspath(paths.root)])
    word, numbers = receive(lifeline)
    if not word:
        return 0
    os.environ.update(json.loads(word)["environ"])
    log.setup("steward")
    config = load_cluster(paths.config)
    preparing = _fork_prepare(config, paths)
    listener = socket.socket(fileno=numbers[0])
    steward = Steward(config, paths, first, lifeline, listener)
    orphaned = asyncio.run(steward.main(*preparing))
    cleanup.kill_children()
    if orphaned:
        cleanup.remove_files(paths)
    return 1 if steward.failed else 0


def _fork_prepare(config: ClusterConfig, paths: ClusterPaths) -> tuple[int, int]:
    """Start writing the cluster's files; the child's pid, and a pipe that brings its complaint, if any, and ends."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(read)
            from .prepare import prepare

            prepare(config, paths)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}"[:2000].encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    return child, read


def only_modules(config: ClusterConfig, paths: ClusterPaths) -> list[str] | None:
    """What the spawner must import; None is everything."""
    return None if config.has_control_plane else modules_of(config, paths)


def asked_by_pods(config: ClusterConfig) -> frozenset[str]:
    """The hosts of the LAN that answer pods, and so know the way back to them; the others don't."""
    proxy = {config.forward_proxy.name} if config.forward_proxy is not None else set()
    return frozenset({config.external_dns.name, config.load_balancer.name, *proxy})


class Steward:
    """The running cluster, on the event loop."""

    def __init__(
        self,
        config: ClusterConfig,
        paths: ClusterPaths,
        first: zygote.Zygote,
        lifeline: socket.socket,
        listener: socket.socket,
    ) -> None:
        self._config = config
        self._paths = paths
        self._lifeline = lifeline
        self._listener = listener
        self._spawner = Spawner(first.connection, first.pid)
        self._early: Spawner | None = Spawner(first.early, -1)
        self._stop = asyncio.Event()
        self._orphaned = False
        self.failed = False
        """A node alone could not start: whoever keeps its container is told by the exit code."""
        self._supervised: list[Supervised] = []
        self._helpers: set[int] = set()
        began = float(os.environ.get("PANAL_STARTED") or time.clock_gettime(time.CLOCK_BOOTTIME))
        self._progress = Progress(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - began)

    async def main(self, preparing: int, complaint: int) -> bool:
        """Run until the end; True when the keeper is gone and files are left to remove."""
        loop = asyncio.get_running_loop()
        self._helpers |= {preparing, self._spawner.pid}
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_end)
        loop.add_reader(self._lifeline, self._keeper_gone)
        self._use(self._spawner)
        if self._early is not None:
            self._early.on_exit(self._ended)
            self._early.on_lost(self._early_spawner_lost)
        server = await Control(self._progress, self._status, self._stop.set, self.restart).serve(self._listener)
        starting = spawn(self._start(complaint), name="start the cluster")
        await self._stop.wait()
        starting.cancel()
        server.close()
        loop.remove_signal_handler(signal.SIGCHLD)
        return self._orphaned

    def _told_to_end(self) -> None:
        """A host alone lets its pods end first, unless it is told twice."""
        grace = self._config.alone.grace if self._config.alone is not None else 0.0
        kubelets = [item for item in self._supervised if item.component.title == "kubelet" and item.pid is not None]
        if grace <= 0 or any(item.leaving for item in kubelets) or not kubelets:
            self._stop.set()
            return
        spawn(self._let_pods_end(kubelets, grace), name="end the pods")

    async def _let_pods_end(self, kubelets: Sequence[Supervised], grace: float) -> None:
        for kubelet in kubelets:
            kubelet.leaving = True
            if kubelet.pid is not None:
                os.kill(kubelet.pid, signal.SIGUSR1)
        try:
            async with asyncio.timeout(grace + _MORE):
                await asyncio.gather(*(kubelet.over.wait() for kubelet in kubelets))
        except TimeoutError:
            _log.warning("the pods have not ended in %.0f s", grace)
        self._stop.set()

    async def spawn(self, request: SpawnRequest, *, early: bool) -> int:
        """By the spawner that serves now."""
        spawner = self._early if early and self._early is not None else self._spawner
        return await spawner.spawn(dataclasses.replace(request, env=dict(os.environ)))

    async def _start(self, complaint: int) -> None:
        try:
            spaces = await self._build_lan()
            await self._prepared(complaint)
            wanted = components(self._config, self._paths)
            for component in wanted:
                if not component.waits:
                    self._supervise(component, spaces[component.host])
            if self._config.has_control_plane or self._config.joined is not None:
                await self._progress.reached(API_ANSWERS)
            else:
                where = f"the control plane is {self._config.control_plane.address}"
                await self._progress.add("node started", where, last=True)
            for component in wanted:
                if component.waits:
                    self._supervise(component, spaces[component.host])
            await self._progress.finished()
            self._let_early_spawner_go()
        except (OSError, StartFailed) as error:
            _log.error("the cluster can't start: %s", error)
            await self._progress.add("failed", str(error), failed=True)
            if self._config.host:
                self.failed = True
                self._stop.set()

    async def restart(self, component: str) -> bool:
        """End a component, which is then started again; whether there is one of that name."""
        for supervised in self._supervised:
            if supervised.component.name == component and supervised.pid is not None:
                os.kill(supervised.pid, signal.SIGTERM)
                return True
        return False

    async def _build_lan(self) -> dict[str, Space]:
        config = self._config
        lan = open_lan(config, self._paths)
        nodes = {node.name: node for node in config.nodes}
        spaces: dict[str, Space] = {}
        for name, address in hosts(config):
            if config.host not in ("", name):
                continue
            if name in nodes:
                spaces[name] = await lan.add_node(name, address, nodes[name].pod_cidr)
            else:
                reaches_pods = name in asked_by_pods(config)
                spaces[name] = await lan.add_host(name, address, reaches_pods=reaches_pods)
        lan.close()
        _log.info("the LAN is there")
        who = f"this machine is {config.host}" if config.host else f"{len(spaces)} hosts"
        await self._progress.add("company LAN", f"{who} in the {config.network} network")
        return spaces

    async def _prepared(self, complaint: int) -> None:
        """Wait for the files. Raises StartFailed with what went wrong."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(complaint, "rb")
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        text = await reader.read()
        transport.close()
        if text:
            raise StartFailed(f"the cluster's files could not be written: {text.decode(errors='replace')}")
        await self._progress.add("certificates", "keys, kubeconfigs and static pods written")

    def _supervise(self, component: Component, space: Space) -> None:
        log = None if self._config.host else self._paths.logs / f"{component.name}.log"
        supervised = Supervised(component, space, log, self)
        self._supervised.append(supervised)
        spawn(supervised.run(), name=f"supervise {component.name}")

    def _let_early_spawner_go(self) -> None:
        """It has done its work; its children are ours from now on."""
        if self._early is not None:
            self._early.close()
            self._early = None

    def _early_spawner_lost(self) -> None:
        """The other one does its work."""
        self._early = None
        self._reap()

    def _use(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._helpers.add(spawner.pid)
        spawner.on_exit(self._ended)
        spawner.on_lost(self._spawner_lost)

    def _spawner_lost(self) -> None:
        """Its children are ours now; what ended meanwhile is reaped here."""
        if not self._stop.is_set():
            _log.warning("the spawner has ended; starting another one")
            again = zygote.fork(only_modules(self._config, self._paths))
            again.early.close()
            self._use(Spawner(again.connection, again.pid))
            self._reap()

    def _ended(self, pid: int, status: int) -> None:
        for supervised in self._supervised:
            if supervised.ended(pid, status):
                return

    def _reap(self) -> None:
        reap(self._paths.root, self._claim)

    def _claim(self, pid: int, status: int) -> bool:
        if pid in self._helpers:
            self._helpers.discard(pid)
            return True
        return any(supervised.ended(pid, status) for supervised in self._supervised)

    def _keeper_gone(self) -> None:
        """The lifeline has ended: nobody else will remove the files."""
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self._orphaned = True
        self._stop.set()

    def _status(self) -> dict[str, Any]:
        return {
            "name": self._config.name,
            "components": [supervised.state() for supervised in self._supervised],
            "stages": self._progress.events,
            "usable": any(event.get("last") for event in self._progress.events),
        }
