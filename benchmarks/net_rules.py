"""netfilter: a Service against a plain route, with one Service and with 5,000; one change among 10,000; the memory.

All in namespaces of the benchmark's own: a node with two pods, one asks, the other answers.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from panal import linux
from panal.agents.network.netlink import inside
from panal.agents.network.netns import NetnsLAN
from panal.agents.network.podnetns import NetnsPodNetwork
from panal.proxy.services import nft, slim
from panal.proxy.services.netfilter import Netfilter
from panal.proxy.services.table import TableBuilder

NODE, CIDR = "192.168.0.101", "10.10.0.0/16"
MANY, MORE = 5000, 10000
CHANGES = 100
SERVICE = "10.96.0.1"
_RESET = struct.pack("ii", 1, 0)


def run(rounds: int, seconds: float) -> Iterator[str]:
    """The lines of the report, from a child that has namespaces of its own."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            try:
                _enter()
                asyncio.run(_story(rounds, seconds, lambda line: print(line, file=pipe, flush=True)))
            except BaseException:
                traceback.print_exc(file=pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        for line in pipe:
            yield line.rstrip("\n")
    os.waitpid(child, 0)


def _enter() -> None:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWNS)
    linux.map_user(uid, gid)
    linux.mount("", "/", flags=linux.MS_REC | linux.MS_PRIVATE)


async def _story(rounds: int, seconds: float, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-rules-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        lan = NetnsLAN("192.168.0.0/16", folder / "netns")
        node = (await lan.add_node("node", NODE, "10.10.8.0/24")).netns
        fd = os.open(node, os.O_RDONLY)
        linux.setns(fd, linux.CLONE_NEWNET)
        os.close(fd)
        (folder / "pods").mkdir()
        pods = NetnsPodNetwork("10.10.8.0/24", folder / "pods", pool=0)
        server, client = await pods.attach("server"), await pods.attach("client")
        answering = _serve(server.netns, server.address)
        try:
            await _measure(rounds, seconds, say, server.address, client.netns)
        finally:
            os.kill(answering, 9)
            os.waitpid(answering, 0)


async def _measure(rounds: int, seconds: float, say: Callable[[str], None], pod: str, asker: str) -> None:
    found = nft.find(os.environ)
    assert found is not None
    dataplane, builder = Netfilter(found, CIDR, NODE), TableBuilder("node", (NODE,))
    say(f"{'netfilter, microseconds':<34}{'route':>10}{'Service':>10}  ratio")
    added = 0
    for total in (1, MANY):
        added = _add(builder, added, total, pod)
        await dataplane.apply(builder.table())
        for label, work in (("new connection and answer", _new), ("round trip, kept connection", _kept)):
            pairs = [
                [await asyncio.to_thread(work, asker, ip, port, seconds / 2) for ip, port in ((pod, 80), (SERVICE, 80))]
                for _ in range(rounds)
            ]
            route, service = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
            ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
            say(
                f"{f'{label}, {total:,} Services':<44}"[:44] + f"{1e6 * route:>6.1f}{1e6 * service:>10.1f}{ratio:>7.2f}"
            )
    started = time.perf_counter()
    _add(builder, added, MORE, pod)
    await dataplane.apply(builder.table())
    say(f"from {MANY:,} to {MORE:,} Services: {time.perf_counter() - started:.1f} s")
    took, before = [], time.process_time()
    for number in range(CHANGES):
        name = f"s{1 + number * 97 % (MORE - 1)}"
        started = time.perf_counter()
        builder.apply_slice(_slice(name, pod, f"10.10.8.{number % 200 + 2}"))
        await dataplane.apply(builder.table())
        took.append(1e3 * (time.perf_counter() - started))
    took.sort()
    cpu = 1e3 * (time.process_time() - before) / CHANGES
    say(f"one change among {MORE:,} Services, ms: median {took[len(took) // 2]:.1f}, p99 {took[-2]:.1f}, CPU {cpu:.1f}")
    gc.collect()
    say(f"memory of the process with {MORE:,} Services, objects and rules: {_own_mib():.0f} MiB of its own")


def _own_mib() -> float:
    """Private pages, in MiB: what a kube-proxy forked from the common image would have for itself, at most."""
    with open("/proc/self/smaps_rollup") as file:
        parts = {line.split()[0]: int(line.split()[1]) for line in file if line.split()[0].endswith(":")}
    return (parts["Private_Dirty:"] + parts["Private_Clean:"]) / 1024


def _add(builder: TableBuilder, first: int, total: int, pod: str) -> int:
    """As the watches deliver them: decoded from JSON, with what an informer keeps."""
    for number in range(first, total):
        name = f"s{number}"
        address = f"10.96.{number // 250}.{number % 250 + 1}"
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": name, "namespace": "default", "uid": f"{number:08x}-0000-4000-8000-000000000000",
                "resourceVersion": str(number), "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {
                "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "selector": {"app": name},
                "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "", "port": 80, "protocol": "TCP", "targetPort": 80}],
            },
            "status": {"loadBalancer": {}},
        }  # fmt: skip
        builder.apply_service(slim.service(orjson.loads(orjson.dumps(service))))
        builder.apply_slice(_slice(name, pod))
    return total


def _slice(name: str, *addresses: str) -> Any:
    found = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abcde", "namespace": "default", "labels": {"kubernetes.io/service-name": name},
            "uid": "00000000-0000-4000-8000-000000000000", "resourceVersion": "1",
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False},
             "nodeName": "node", "targetRef": {"kind": "Pod", "name": f"{name}-x", "namespace": "default"}}
            for address in addresses
        ],
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
    }  # fmt: skip
    return slim.endpoint_slice(orjson.loads(orjson.dumps(found)))


def _serve(netns: str, address: str) -> int:
    """A process in the pod that answers one byte with one byte; returns its id."""
    with _in(netns):
        listener = socket.create_server((address, 80), backlog=512)
    child = os.fork()
    if child:
        listener.close()
        return child
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                while data := connection.recv(100):
                    connection.sendall(data)
            except OSError:
                continue


def _in(netns: str) -> Any:
    fd = os.open(netns, os.O_RDONLY)
    return inside(fd)


def _new(netns: str, address: str, port: int, seconds: float) -> float:
    """Seconds of a connection, a byte there and back, and the end, on average."""
    count, started = 0, time.perf_counter()
    with _in(netns):
        while time.perf_counter() - started < seconds:
            with socket.create_connection((address, port), timeout=5) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)  # or the ports run out
                sock.sendall(b"x")
                assert sock.recv(10) == b"x"
            count += 1
    return (time.perf_counter() - started) / count


def _kept(netns: str, address: str, port: int, seconds: float) -> float:
    """Seconds of a byte there and back, on average."""
    with _in(netns), socket.create_connection((address, port), timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            sock.sendall(b"x")
            sock.recv(10)
            count += 1
    return (time.perf_counter() - started) / count
