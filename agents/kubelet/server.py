"""The kubelet's own HTTPS port: container logs, its pods, its health. Whom it answers: authorization."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from panal.config import NodeConfig
from panal.paths import ClusterPaths
from panal.sockets import listening

from ..runtime.contract import Container, ContainerState
from . import logs, podspec
from .authorization import Guard
from .crilog import Wanted
from .inotify import Watch
from .kubelet import RESYNC_SECONDS, Kubelet
from .metering import Metering
from .nodelogs import NodeLogs
from .registration import LEASE_SECONDS, STATUS_SECONDS
from .shutdown import pages
from .streaming import Streaming
from .worker import Worker

_STREAMS = {"": {"stdout", "stderr"}, "All": {"stdout", "stderr"}, "Stdout": {"stdout"}, "Stderr": {"stderr"}}


class LogsUnavailable(ValueError):
    """There is no log to show; the message is kubectl's user's."""


class Server:
    """`serving` is a context in which the port answers."""

    def __init__(self, kubelet: Kubelet, guard: Guard) -> None:
        self._kubelet, self._guard = kubelet, guard

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
        """Answer on the address; gives the port (chosen by the system for 0). Raises OSError."""
        runner = web.AppRunner(self.app(secure=tls is not None), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.SockSite(runner, listening(host, port), ssl_context=tls)
            await site.start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    def app(self, *, secure: bool = True) -> web.Application:
        app = web.Application(middlewares=[self._guard.middleware()] if secure else [])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/configz", self._configz)
        app.router.add_get("/pods", self._pods)
        app.router.add_get("/runningpods/", self._running)
        app.router.add_get("/runningpods", self._running)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        pages(app.router, self._kubelet.shutdown)
        Metering(self._kubelet).register(app.router)
        Streaming(self._kubelet).register(app.router)
        NodeLogs(self._kubelet.shared.log_folder).register(app.router)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _configz(self, _: web.Request) -> web.Response:
        body = orjson.dumps({"kubeletconfig": configuration(self._kubelet.config)})
        return web.Response(body=body, content_type="application/json")

    async def _pods(self, _: web.Request) -> web.Response:
        return _list([{**worker.pod, "status": worker.status} for worker in self._kubelet.workers()])

    async def _running(self, _: web.Request) -> web.Response:
        return _list([item for worker in self._kubelet.workers() if (item := self._running_pod(worker)) is not None])

    def _running_pod(self, worker: Worker) -> dict[str, Any] | None:
        view = self._kubelet.view.pod(podspec.uid(worker.pod))
        names = {
            name: attempts[-1].config.image
            for name, attempts in view.containers.items()
            if attempts[-1].state is ContainerState.RUNNING
        }
        if not names:
            return None
        meta = {key: worker.pod["metadata"].get(key) for key in ("name", "namespace", "uid")}
        containers = [{"name": name, "image": image, "resources": {}} for name, image in names.items()]
        return {"metadata": meta, "spec": {"containers": containers}, "status": {}}

    # ---- logs ----

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        namespace, name, container = (request.match_info[part] for part in ("namespace", "pod", "container"))
        worker = self._kubelet.worker_named(namespace, name)
        if worker is None:
            return web.Response(status=404, text=f'pod "{name}" does not exist\n')
        if podspec.container(worker.pod, container) is None:
            return web.Response(status=404, text=f'container "{container}" not found in pod "{name}"\n')
        try:
            wanted = wanted_lines(request.query, time.time())
            found = self._container(worker, container, previous=_flag(request.query, "previous"))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return await self._stream(request, worker, found, wanted)

    def _container(self, worker: Worker, container: str, *, previous: bool) -> Container:
        """The container whose log is meant, as the pod's status has it. Raises LogsUnavailable."""
        wanted = logged_container(worker.pod, worker.status, container, previous=previous)
        attempts = self._kubelet.view.pod(podspec.uid(worker.pod)).containers.get(container) or ()
        for attempt in attempts:
            if f"panal://{attempt.id}" == wanted:
                return attempt
        raise LogsUnavailable(f"unable to retrieve container logs for {wanted}")

    async def _stream(
        self, request: web.Request, worker: Worker, found: Container, wanted: Wanted
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        path = Path(found.config.log_path)
        if not os.path.exists(path):
            return web.Response(status=400, text=f"unable to retrieve container logs for panal://{found.id}")
        await response.prepare(request)
        with self._told_of_changes(podspec.uid(worker.pod)) as watches:
            source = (
                logs.follow(path, wanted, lambda: self._runs(worker, found), watches.append)
                if _flag(request.query, "follow")
                else logs.read(path, wanted)
            )
            async with contextlib.aclosing(source) as pieces:
                with contextlib.suppress(ConnectionError):
                    async for piece in pieces:
                        await response.write(piece)
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    @contextlib.contextmanager
    def _told_of_changes(self, uid: str) -> Iterator[list[Watch]]:
        watches: list[Watch] = []

        def changed(which: str) -> None:
            if which == uid:
                for watch in watches:
                    watch.wake()

        self._kubelet.listeners.add(changed)
        try:
            yield watches
        finally:
            self._kubelet.listeners.discard(changed)

    def _runs(self, worker: Worker, found: Container) -> bool:
        attempts = self._kubelet.view.pod(podspec.uid(worker.pod)).containers.get(found.config.name) or ()
        return any(item.id == found.id and item.state is ContainerState.RUNNING for item in attempts)


def configuration(config: NodeConfig) -> dict[str, Any]:
    """What this kubelet is set to, as a KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": config.node.address,
        "port": config.kubelet_port,
        "clusterDomain": config.cluster_domain,
        "clusterDNS": [config.cluster_dns],
        "podCIDR": config.node.pod_cidr,
        "maxPods": config.node.pods,
        "podPidsLimit": config.node.pod_pids_limit,
        "nodeLeaseDurationSeconds": LEASE_SECONDS,
        "nodeStatusReportFrequency": f"{STATUS_SECONDS // 60:.0f}m0s",
        "syncFrequency": f"{RESYNC_SECONDS // 60:.0f}m0s",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
    }


def _list(items: list[dict[str, Any]]) -> web.Response:
    body = orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
    return web.Response(body=body, content_type="application/json")


def tls_context(config: NodeConfig, folder: Path) -> ssl.SSLContext:
    """The node's serving certificate; a client's must be of the cluster's CA, or it has a token. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "kubelet.crt", folder / "kubelet.key")
    context.load_verify_locations(ClusterPaths(Path(config.home)).pki / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def logged_container(pod: podspec.Pod, status: Mapping[str, Any], container: str, *, previous: bool) -> str:
    """The id of the container whose log is meant. Raises LogsUnavailable in upstream's words."""
    name = podspec.name(pod)
    fields = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    entries = [entry for field in fields for entry in status.get(field) or ()]
    entry: Mapping[str, Any] = next((item for item in entries if item["name"] == container), {})
    state, last = entry.get("state") or {}, (entry.get("lastState") or {}).get("terminated")
    described = f'container "{container}" in pod "{name}"'
    if previous:
        if not last or not last.get("containerID"):
            raise LogsUnavailable(f'previous terminated container "{container}" in pod "{name}" not found')
        return str(last["containerID"])
    if "running" in state:
        return str(entry["containerID"])
    for ended in (state.get("terminated"), last):
        if ended and ended.get("containerID"):
            return str(ended["containerID"])
    if state.get("terminated") or last:
        raise LogsUnavailable(f"{described} is terminated")
    reason = (state.get("waiting") or {}).get("reason")
    why = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
        None: None,
    }.get(reason, reason)
    raise LogsUnavailable(f"{described} is waiting to start{f': {why}' if why else ' - no logs yet'}")


def wanted_lines(query: Mapping[str, str], now: float) -> Wanted:
    """The query of a log request. Raises ValueError."""
    since = None
    if query.get("sinceSeconds"):
        since = now - _number(query, "sinceSeconds", 1)
    elif query.get("sinceTime"):
        since = podspec.parse_time(query["sinceTime"])
    streams = _STREAMS.get(query.get("stream", ""))
    if streams is None:
        raise LogsUnavailable(f"stream: unsupported value {query['stream']!r}")
    return Wanted(
        tail=_number(query, "tailLines", 0) if query.get("tailLines") else None,
        since=since,
        timestamps=_flag(query, "timestamps"),
        limit=_number(query, "limitBytes", 1) if query.get("limitBytes") else None,
        streams=frozenset(streams),
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean of a query as Kubernetes reads it: present and not 0 or false."""
    return name in query and query[name].lower() not in ("0", "false")


def _number(query: Mapping[str, str], name: str, least: int) -> int:
    try:
        value = int(query[name])
    except ValueError:
        raise LogsUnavailable(f"{name} must be a number") from None
    if value < least:
        raise LogsUnavailable(f"{name} must be greater than or equal to {least}")
    return value
