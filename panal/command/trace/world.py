"""Who is asked: the load balancer's and the kube-proxies' sockets, the API server, the nodes' runtimes, the ingress."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from panal import unixsock
from panal.config import ClusterConfig
from panal.paths import ClusterPaths

from ..failure import Failure
from .chain import Address, Answer, Link, written
from .within import within

_SECONDS = 5.0
_LIMIT = 1 << 26
"""Bytes of an answer at most."""
_PATIENCE = 1.0
"""Seconds until a proxy that has accepted the connection has chosen, or an ingress has written down its answer."""
_PAUSE = 0.02
_INGRESS = "panal/ingress:"
_ADMIN_PORT = 10254

Enter = Callable[[str], Callable[[], None]]
"""The way into a node's network, by its name."""


class RealWorld:
    """`chain.World` of a running cluster. `pods` are the API's objects."""

    def __init__(
        self,
        config: ClusterConfig,
        paths: ClusterPaths,
        pods: list[dict[str, Any]],
        enter: Enter,
        real_port: Callable[[int], int],
        request_id: str,
    ) -> None:
        self._config, self._paths, self._pods = config, paths, pods
        self._enter, self._real_port, self._request_id = enter, real_port, request_id

    def balancer(self, link: Link) -> Answer | None:
        told = self._flow(self._paths.balancer_socket, link)
        flow: Answer | None = told.get("flow")
        return flow

    def node(self, node: str, link: Link) -> Answer:
        return self._flow(self._paths.node(node).proxy_socket, link)

    def pod(self, address: Address) -> dict[str, Any] | None:
        for pod in self._pods:
            status = pod.get("status") or {}
            if status.get("podIP") == address[0] and status.get("phase") == "Running":
                return self._about(pod, address[1])
        return None

    def host(self, node: str, address: Address) -> dict[str, Any]:
        """The pod in the node's own network that says it has the port, if one does."""
        for pod in self._pods:
            spec = pod["spec"]
            if spec.get("nodeName") == node and spec.get("hostNetwork") and self._container(pod, address[1]):
                return self._about(pod, address[1])
        return {"port": address[1]}

    def request(self, pod: Mapping[str, Any]) -> Answer | None:
        if not str(pod.get("image", "")).startswith(_INGRESS):
            return None
        deadline = time.monotonic() + _PATIENCE
        while True:
            with within(self._enter(str(pod["node"])), lambda: self._fetch(str(pod["ip"]))) as told:
                if told is not None or time.monotonic() > deadline:
                    found: Answer | None = told
                    return found
            time.sleep(_PAUSE)

    def again(self, attempt: int) -> bool:
        if attempt * _PAUSE > _PATIENCE:
            return False
        time.sleep(_PAUSE)
        return True

    def _fetch(self, ip: str) -> Any:
        connection = http.client.HTTPConnection(ip, _ADMIN_PORT, timeout=_SECONDS)
        try:
            connection.request("GET", f"/trace/{self._request_id}")
            response = connection.getresponse()
            return json.loads(response.read(_LIMIT)) if response.status == 200 else None
        except http.client.HTTPException as error:
            raise Failure(f"the ingress at {ip} does not answer: {error}") from error
        finally:
            connection.close()

    def _flow(self, place: Path, link: Link) -> dict[str, Any]:
        """Once more while the proxy has not chosen yet."""
        protocol = " udp" if link.protocol == "UDP" else ""
        request = f"flow {written(link.client)} {written(link.destination)}{protocol}\n"
        deadline = time.monotonic() + _PATIENCE
        while True:
            told: dict[str, Any] = json.loads(_read(place, request.encode()))
            flow = told.get("flow")
            if not flow or flow.get("state") != "connecting" or time.monotonic() > deadline:
                return told
            time.sleep(_PAUSE)

    def _about(self, pod: Mapping[str, Any], port: int) -> dict[str, Any]:
        metadata, spec = pod["metadata"], pod["spec"]
        container = self._container(pod, port) or (spec["containers"][0] if len(spec["containers"]) == 1 else None)
        about = {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "node": spec["nodeName"],
            "ip": pod["status"].get("podIP", ""),
            "port": port,
        }
        if container is None:
            return about
        identity = _container_id(pod, container["name"])
        about |= {"container": container["name"], "image": container["image"], "containerID": identity}
        return about | {"pid": self._pid(spec["nodeName"], identity.rpartition("/")[2])}

    def _container(self, pod: Mapping[str, Any], port: int) -> Any:
        """The container that declares the port."""
        for container in pod["spec"]["containers"]:
            declared = [int(item["containerPort"]) for item in container.get("ports") or ()]
            if port in declared or port in map(self._real_port, declared):
                return container
        return None

    def _pid(self, node: str, identity: str) -> int | None:
        """As the cluster's processes are numbered."""
        try:
            for raw in _containers(self._paths.node(node).runtime_socket):
                if raw["id"] == identity:
                    return int(raw["pid"]) if raw.get("pid") else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None


def _container_id(pod: Mapping[str, Any], name: str) -> str:
    for status in pod["status"].get("containerStatuses") or ():
        if status["name"] == name:
            return str(status.get("containerID") or "")
    return ""


def _read(place: Path, request: bytes) -> bytes:
    """Raises OSError."""
    raw = b""
    with unixsock.connect(place) as connection:
        connection.settimeout(_SECONDS)
        connection.sendall(request)
        while len(raw) < _LIMIT and (part := connection.recv(1 << 16)):
            raw += part
    return raw


def _containers(place: Path) -> list[dict[str, Any]]:
    """The runtime's list, in its own frames: four bytes of length, then JSON. Raises OSError or ValueError."""
    body = json.dumps({"id": 1, "verb": "containers", "args": {}}).encode()
    with unixsock.connect(place) as connection, connection.makefile("rb") as stream:
        connection.settimeout(_SECONDS)
        connection.sendall(len(body).to_bytes(4, "big") + body)
        size = int.from_bytes(stream.read(4), "big")
        if size > _LIMIT:
            raise ValueError("the runtime's answer is too long")
        found: list[dict[str, Any]] = json.loads(stream.read(size))["ok"]
        return found


@contextmanager
def said_plainly() -> Iterator[None]:
    """What goes wrong with asking, as a Failure."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"a hop can't be asked ({error}); see `panal status`.") from error
