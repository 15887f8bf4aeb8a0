"""The kubelet of one node, put together: sources of pods on one side, a worker a pod on the other.

Static pods need no API server; everything else starts when it answers. Pods that the runtime runs and nobody wants any
more are ended once both sources are known.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from panal import quantity, tasks
from panal.client import Client, Unreachable
from panal.config import NodeConfig
from panal.errors import StatusError
from panal.events import Recorder
from panal.informer import Applied, Delta, Informer
from panal.paths import NodePaths
from panal.resources import NODES, PODS, SERVICES

from ..runtime.contract import Runtime
from . import dns, inotify, podspec, sampler, static
from .admission import refusal
from .eviction import Evictor
from .handlers import Handlers
from .hostports import HostPorts
from .mirror import Mirrors
from .model import End
from .mounter import Mounter
from .podspec import Pod
from .references import References, TokenSource
from .registration import Registration
from .sampler import Sampler
from .shared import Shared
from .shutdown import REFUSED, Shutdown
from .sizelimit import SizeLimits
from .view import RuntimeView
from .worker import Worker

_log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
"""Every worker looks again this often, should an event have been lost."""


RUNTIME_PATIENCE = 30.0
"""Seconds that the runtime may be away, being restarted, before the node is not ready (upstream's threshold)."""


class Kubelet:
    """`run` until cancelled; pods go on running without it."""

    def __init__(
        self, config: NodeConfig, paths: NodePaths, client: Client, runtime: Runtime, environ: Mapping[str, str]
    ) -> None:
        self.config = config
        self._paths = paths
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._static: dict[str, Pod] = {}
        self._static_read = False
        self.listeners: set[Callable[[str], None]] = set()
        """Called with the uid of each pod whose containers changed."""
        self.view = RuntimeView(runtime, self._runtime_changed)
        self.sampler = Sampler(runtime)
        self._registration = Registration(client, config)
        self.view.on_connection = self._runtime_connected
        self._not_ready: asyncio.TimerHandle | None = None
        selector = f"spec.nodeName={config.node.name}"
        self._pods = Informer(client, PODS, field_selector=selector, transform=_lean)
        services = Informer(client, SERVICES, transform=_lean)
        self.shared = Shared(
            config=config,
            client=client,
            runtime=runtime,
            view=self.view,
            mounter=Mounter(
                paths.pods,
                (config.foreign_home, config.home) if config.foreign_home else None,
                in_memory=config.runtime == "namespaces" and config.network == "netns",
            ),
            references=References(client, self._references_changed),
            tokens=TokenSource(client),
            handlers=Handlers(runtime),
            recorder=Recorder(client, "kubelet", config.node.name),
            services=services,
            log_folder=paths.pod_logs,
            node_resolv=_node_resolv(config.resolver, Path("/etc/resolv.conf")),
            host_ports=HostPorts(),
            environ=environ,
        )
        self._evictions = self._evictor()
        mounter = self.shared.mounter
        self._sizes = SizeLimits(
            lambda: [item.pod for item in self.workers() if item.counts],
            mounter.empty_dir,
            self.shared.logs_of,
            self._evict,
        )
        self.shutdown = Shutdown(self.workers, lambda why: self._registration.set_ready(False, why))
        self._mirrors = Mirrors(client, self._pods, self._registration, self._static_named)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, part in (
                    ("runtime", self.view.run()),
                    ("static pods", self._follow_static()),
                    ("pods", self._follow_api()),
                    ("services", self.shared.services.run()),
                    ("node", self._registration.run()),
                    ("mirror pods", self._mirrors.run()),
                    ("resync", self._resync()),
                    ("evictions", self._evictions.run()),
                    ("size limits", self._sizes.run()),
                ):
                    group.create_task(part, name=name)
        finally:
            await self._close()

    async def _close(self) -> None:
        for task in list(self._tasks.values()):
            await tasks.cancel(task)
        await self.shared.host_ports.close()
        await self.shared.recorder.close()
        await self.shared.handlers.close()

    def _evictor(self) -> Evictor:
        return Evictor(
            capacity=quantity.whole(self.config.node.memory),
            usages=self.shared.runtime.usages,
            own=sampler.own,
            pods=lambda: [(item.pod, self.view.pod(uid).running()) for uid, item in self._workers.items()],
            evict=self._evict,
            pressure=self._registration.set_pressure,
        )

    def _evict(self, pod: Pod, end: End) -> None:
        if (worker := self._workers.get(podspec.uid(pod))) is not None:
            worker.evict(end)

    # ---- what the server shows ----

    def worker_named(self, namespace: str, name: str) -> Worker | None:
        """The worker of a pod by its name; the one that is not ending where two share it."""
        found = [worker for worker in self._workers.values() if podspec.key(worker.pod) == (namespace, name)]
        return next((worker for worker in found if not podspec.deleted(worker.pod)), found[0] if found else None)

    def workers(self) -> list[Worker]:
        return list(self._workers.values())

    # ---- sources ----

    async def _follow_static(self) -> None:
        await self.view.ready.wait()
        folder = self._paths.manifests
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with inotify.Watch(folder, inotify.FOLDER) as watch:
                while True:
                    self._read_static()
                    await watch.changed()
        except OSError as error:
            _log.warning("%s cannot be watched (%s); it is read every 20 s", folder, error.strerror)
        while True:
            self._read_static()
            await asyncio.sleep(20)

    def _read_static(self) -> None:
        fresh = static.read(self._paths.manifests, self.config.node.name, time.time())
        gone = self._static.keys() - fresh.keys()
        added = fresh.keys() - self._static.keys()
        changed = {podspec.key(self._static[uid]) for uid in gone} | {podspec.key(fresh[uid]) for uid in added}
        self._static = {**{uid: self._static.get(uid, pod) for uid, pod in fresh.items()}}
        self._static_read = True
        for uid in gone:
            if (worker := self._workers.get(uid)) is not None:
                worker.remove()
        for uid in added:
            self._want(self._static[uid])
        for key in changed:
            self._mirrors.look_at(key)
        self._end_orphans()

    async def _follow_api(self) -> None:
        await self.view.ready.wait()
        self._pods.subscribe(self._pod_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pods.run(), name="watch pods")
            await self._pods.synced()
            self._end_orphans()

    def _pod_changed(self, delta: Delta) -> None:
        if isinstance(delta, Applied):
            self._pod_applied(delta.new)
        else:
            self._pod_deleted(delta.old)

    def _pod_applied(self, pod: Pod) -> None:
        if podspec.is_mirror(pod):
            self._mirrors.look_at(podspec.key(pod))
            if (worker := self._static_worker(podspec.key(pod))) is not None and static.mirrors(worker.pod, pod):
                worker.see_mirror(pod)
        elif (worker := self._workers.get(podspec.uid(pod))) is not None:
            worker.update(pod)
        else:
            self._want(pod)

    def _pod_deleted(self, pod: Pod) -> None:
        if podspec.is_mirror(pod):
            self._mirrors.look_at(podspec.key(pod))
            if (worker := self._static_worker(podspec.key(pod))) is not None:
                worker.see_mirror(None)
        elif (worker := self._workers.get(podspec.uid(pod))) is not None:
            worker.update(pod)
            worker.remove()

    def _static_named(self, key: tuple[str, str]) -> Pod | None:
        return next((pod for pod in self._static.values() if podspec.key(pod) == key), None)

    def _static_worker(self, key: tuple[str, str]) -> Worker | None:
        pod = self._static_named(key)
        return self._workers.get(podspec.uid(pod)) if pod is not None else None

    # ---- workers ----

    def _want(self, pod: Pod) -> None:
        """Give the pod a worker. A static pod waits for the end of the one whose name it takes."""
        uid = podspec.uid(pod)
        if uid in self._tasks:
            return
        before = [
            self._tasks[other]
            for other, worker in self._workers.items()
            if podspec.is_static(pod) and podspec.key(worker.pod) == podspec.key(pod) and other in self._tasks
        ]
        work = self._work_after(before, pod) if before else self._work(self._new_worker(pod))
        self._tasks[uid] = tasks.spawn(work, name=f"pod {podspec.described(pod)}")

    def _new_worker(self, pod: Pod) -> Worker:
        worker = self._workers[podspec.uid(pod)] = Worker(self.shared, pod)
        self._sizes.noticed(pod)
        if podspec.is_static(pod) and (mirror := self._pods.get(*podspec.key(pod))) is not None:
            if static.mirrors(pod, mirror):
                worker.see_mirror(mirror)
        return worker

    async def _work_after(self, before: list[asyncio.Task[None]], pod: Pod) -> None:
        uid = podspec.uid(pod)
        await asyncio.wait(before)
        if uid in self._static:
            await self._work(self._new_worker(pod))
        else:
            self._tasks.pop(uid, None)

    async def _work(self, worker: Worker) -> None:
        uid = podspec.uid(worker.pod)
        try:
            await self._admit(worker)
            await worker.run()
        finally:
            self._workers.pop(uid, None)
            self._tasks.pop(uid, None)
        self._again(uid)

    async def _admit(self, worker: Worker) -> None:
        """Refuse a new pod for which this node is no place; the node is looked at afresh before.

        What only pods that are leaving are in the way of waits for them: one that was deleted without grace is gone
        from the API long before its processes are.
        """
        if self.shutdown.begun and not worker.known_before and not podspec.is_static(worker.pod):
            worker.reject(REFUSED)
            worker.admitted = True
            return
        while (node := self._registration.node) is not None and not worker.known_before:
            others = self._others(worker)
            if refusal(worker.pod, [other.pod for other in others], node) is None:
                break
            leaving = [other for other in others if other.leaving]
            staying = [other.pod for other in others if not other.leaving]
            if leaving and refusal(worker.pod, staying, node) is None:
                await self._change(worker, leaving)
                continue
            with contextlib.suppress(StatusError, Unreachable):
                fresh: Mapping[str, object] = await self.shared.client.get(NODES, self.config.node.name)
                if (found := refusal(worker.pod, [other.pod for other in self._others(worker)], fresh)) is not None:
                    worker.reject(found)
            break
        worker.admitted = True

    def _others(self, worker: Worker) -> list[Worker]:
        return [other for other in self.workers() if other is not worker and other.counts]

    async def _change(self, worker: Worker, leaving: Sequence[Worker]) -> None:
        """Until one of those that leave has left, or the pod that waits for them changes."""
        ends = {self._tasks[uid] for other in leaving if (uid := podspec.uid(other.pod)) in self._tasks}
        woken = tasks.spawn(worker.woken(), name=f"wait {podspec.described(worker.pod)}")
        try:
            await asyncio.wait({woken, *ends}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await tasks.cancel(woken)

    def _again(self, uid: str) -> None:
        """A static pod whose file came back while it ended."""
        if (pod := self._static.get(uid)) is not None:
            self._want(pod)

    def _end_orphans(self) -> None:
        """End what the runtime runs and no source wants, once all sources have spoken."""
        if not (self._static_read and self._pods.has_synced):
            return
        for uid in {*self.view.uids(), *self.shared.mounter.known()} - self._tasks.keys():
            sandbox = self.view.pod(uid).sandbox
            if sandbox is None:
                with contextlib.suppress(ValueError):
                    self.shared.mounter.remove(uid)
                for folder in self.shared.log_folder.glob(f"*_{glob.escape(uid)}"):
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            _log.info("ending pod %s/%s (%s), which nobody wants", sandbox.config.namespace, sandbox.config.name, uid)
            worker = self._new_worker(_orphan(uid, sandbox.config.namespace, sandbox.config.name))
            worker.remove()
            self._tasks[uid] = tasks.spawn(self._work(worker), name=f"orphan {uid}")

    def _runtime_changed(self, uid: str) -> None:
        self._evictions.soon()
        for listener in tuple(self.listeners):
            listener(uid)
        if (worker := self._workers.get(uid)) is not None:
            worker.wake()

    def _runtime_connected(self, connected: bool) -> None:
        """The node is Ready as soon as the runtime answers, and not ready when it has been away for long."""
        if self._not_ready is not None:
            self._not_ready.cancel()
            self._not_ready = None
        if self.shutdown.begun:
            return
        if connected:
            self._registration.set_ready(True)
        else:
            later = asyncio.get_running_loop().call_later
            self._not_ready = later(RUNTIME_PATIENCE, self._registration.set_ready, False)

    def _references_changed(self, uid: str) -> None:
        if (worker := self._workers.get(uid)) is not None:
            worker.references_changed()

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            self._end_orphans()
            for worker in self.workers():
                worker.wake()


def _lean(obj: dict[str, object]) -> dict[str, object]:
    """Without managedFields, which nobody here reads."""
    meta = obj["metadata"]
    assert isinstance(meta, dict)
    if "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def _orphan(uid: str, namespace: str, name: str) -> Pod:
    """A pod of which only the runtime knows."""
    notes = {podspec.SOURCE: "file", podspec.HASH: uid}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "annotations": notes},
        "spec": {"containers": [], "terminationGracePeriodSeconds": 1},
        "status": {},
    }


def _node_resolv(nameserver: str | None, path: Path) -> dns.Resolv:
    if nameserver is not None:
        return dns.Resolv([nameserver])
    try:
        return dns.parse(path.read_text(errors="replace"))
    except OSError:
        return dns.Resolv()
