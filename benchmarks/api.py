"""How fast the API server is, and how much memory it takes: `make bench-api`, or `python benchmarks/api.py --quick`.

One real server process over TLS, and clients in this process, which is a program of its own on the other core: raw
protocols on uvloop, so that the clients cost little beside the server. Every figure is the median of `--rounds` short
runs, because other load on the machine comes and goes; etcd, where it is (api_etcd.py), is asked in turns with it.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import platform
import signal
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import orjson
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))
import api_etcd  # noqa: E402
from api_etcd import Etcd  # noqa: E402

from tests.controlplane.apiserver.http.conftest import ApiServer, make  # noqa: E402

NAMESPACE = "/api/v1/namespaces/default"
PODS = f"{NAMESPACE}/pods"


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, then its answer."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._waiter is None:
            return
        at = self._data.find(b"Content-Length: ", 0, end) + 16
        if at == 15:  # in chunks: etcd's longer answers
            complete = self._data.endswith(b"\r\n0\r\n\r\n")
        else:
            complete = len(self._data) >= end + 4 + int(self._data[at : self._data.find(b"\r", at)])
        if complete:
            status, body = int(self._data[9:12]), bytes(self._data[end + 4 :])
            self._data.clear()
            self._waiter.set_result((status, body))

    def connection_lost(self, why: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(why or ConnectionResetError())

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()


class Watcher(asyncio.Protocol):
    """Counts the events of a watch without reading them; `on_data` sees their bytes."""

    def __init__(self, path: str, on_data: Callable[[bytes], None] | None = None) -> None:
        self._path, self._on_data = path, on_data
        self.events = 0
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(request("GET", f"{self._path}&watch=1"))

    def data_received(self, data: bytes) -> None:
        self.begun.set()
        self.events += data.count(b'{"type":"')
        if self._on_data is not None:
            self._on_data(data)


def request(method: str, path: str, body: object = None, media: str = "application/json") -> bytes:
    data = b"" if body is None else orjson.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\nContent-Type: {media}\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def pod(name: str, size: int = 4096) -> dict[str, object]:
    """A pod whose stored form has about this many bytes."""
    annotations = {"example.com/filler": "x" * max(0, size - 2300)}
    container = {
        "name": "app", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
        "env": [{"name": f"KEY_{number}", "value": "value"} for number in range(4)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }  # fmt: skip
    metadata = {"name": name, "labels": {"app": "bench", "tier": "web"}, "annotations": annotations}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": [container]}}


class Bench:
    """A server, and what is measured of it."""

    def __init__(self, server: ApiServer, seconds: float, rounds: int) -> None:
        self.server, self.seconds, self.rounds = server, seconds, rounds
        self.context: ssl.SSLContext = server.ssl("bench", "system:masters")
        self._names = iter(range(10**9))

    async def connect(self, port: int = 0) -> Connection:
        _, made = await asyncio.get_running_loop().create_connection(
            Connection, "127.0.0.1", port or self.server.port, ssl=self.context
        )
        return made

    async def rates(self, clients: int, *sides: tuple[int, Callable[[], bytes], int]) -> list[float]:
        """Answers a second of so many clients, each asking again at once; of each (port, request, status) in turns."""
        connections = [[await self.connect(port) for _ in range(clients)] for port, _, _ in sides]
        found: list[list[float]] = [[] for _ in sides]
        for _ in range(self.rounds):
            for each, (_, make_request, expect), known in zip(connections, sides, found, strict=True):
                known.append(await self._rate(each, make_request, expect))
        for connection in chain.from_iterable(connections):
            connection.close()
        return [statistics.median(each) for each in found]

    async def _rate(self, connections: Sequence[Connection], make_request: Callable[[], bytes], expect: int) -> float:
        began = time.perf_counter()
        end = began + self.seconds

        async def one(connection: Connection) -> int:
            count = 0
            while time.perf_counter() < end:
                status, body = await connection.ask(make_request())
                assert status == expect, (status, body[:300])
                count += 1
            return count

        done = await asyncio.gather(*map(one, connections))
        return sum(done) / (time.perf_counter() - began)

    def new_pod(self) -> bytes:
        return request("POST", PODS, pod(f"p{next(self._names)}", 2400))

    async def fill(self, count: int, size: int, clients: int = 32) -> None:
        todo = iter(range(count))
        names = [next(self._names) for _ in range(count)]

        async def one(connection: Connection) -> None:
            for number in todo:
                status, body = await connection.ask(request("POST", PODS, pod(f"p{names[number]}", size)))
                assert status == 201, body[:300]
            connection.close()

        await asyncio.gather(*[one(await self.connect()) for _ in range(clients)])

    async def clear(self) -> float:
        """Delete all pods at once; the seconds that took."""
        connection = await self.connect()
        began = time.perf_counter()
        status, body = await connection.ask(request("DELETE", f"{PODS}?gracePeriodSeconds=0"))
        assert status == 200, body[:300]
        connection.close()
        return time.perf_counter() - began

    async def listing(self) -> float:
        """Milliseconds of one list of all pods."""
        connection = await self.connect()
        times = []
        for _ in range(5 * self.rounds):
            began = time.perf_counter()
            await connection.ask(request("GET", PODS))
            times.append((time.perf_counter() - began) * 1000)
        connection.close()
        return statistics.median(times)

    async def latency(self, rate: float) -> tuple[float, float]:
        """Milliseconds (median, p99) from sending a write to its event, at so many writes a second."""
        seen: dict[bytes, float] = {}

        def note(data: bytes) -> None:
            now, at = time.perf_counter(), 0
            while (at := data.find(b'"n":"', at)) >= 0:
                seen.setdefault(bytes(data[at + 5 : data.find(b'"', at + 5)]), now)
                at += 5

        watcher = await self._watch(f"{NAMESPACE}/configmaps?fieldSelector=metadata.name%3Dclock", note)
        connection = await self.connect()
        sent: dict[bytes, float] = {}
        await connection.ask(request("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": "clock"}}))
        count = int(rate * self.seconds)
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            sent[str(number).encode()] = time.perf_counter()
            change = request("PATCH", f"{NAMESPACE}/configmaps/clock", {"data": {"n": str(number)}}, MERGE)
            await connection.ask(change)
        await asyncio.sleep(0.2)
        watcher.transport.abort()
        connection.close()
        times = sorted((seen[key] - sent[key]) * 1000 for key in sent if key in seen)
        assert len(times) > count * 0.99
        return statistics.median(times), times[int(len(times) * 0.99)]

    async def _watch(self, path: str, on_data: Callable[[bytes], None] | None = None) -> Watcher:
        _, watcher = await asyncio.get_running_loop().create_connection(
            lambda: Watcher(path, on_data), "127.0.0.1", self.server.port, ssl=self.context
        )
        await watcher.begun.wait()
        return watcher

    async def fan_out(self, count: int, writers: int = 16) -> float:
        """Events a second that reach so many watchers together, while some clients write as fast as they can."""
        watchers = [await self._watch(f"{NAMESPACE}/configmaps?labelSelector=") for _ in range(count)]
        connections = [await self.connect() for _ in range(writers)]
        for number in range(writers):
            name = {"metadata": {"name": f"fan{number}"}}
            await connections[0].ask(request("POST", f"{NAMESPACE}/configmaps", name))
        before = sum(each.events for each in watchers)
        began = time.perf_counter()
        end = began + self.seconds * self.rounds
        filler = "x" * 800

        async def write(number: int) -> None:
            turn = 0
            while time.perf_counter() < end:
                turn += 1
                change = {"data": {"turn": str(turn), "x": filler}}
                path = f"{NAMESPACE}/configmaps/fan{number}"
                await connections[number].ask(request("PATCH", path, change, MERGE))

        await asyncio.gather(*map(write, range(writers)))
        found = (sum(each.events for each in watchers) - before) / (time.perf_counter() - began)
        for each in watchers:
            each.transport.abort()
        for connection in connections:
            connection.close()
        return found

    def memory(self) -> float:
        """The server's proportional set size in MiB."""
        assert self.server.process is not None
        for line in Path(f"/proc/{self.server.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
        return 0.0


MERGE = "application/merge-patch+json"


async def measure(bench: Bench, etcd: Etcd | None, pods: int, say: Callable[..., None]) -> None:
    setup = await bench.connect()
    await setup.ask(request("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}}))
    setup.close()
    say("memory, empty", f"{bench.memory():.0f} MiB", "")
    values = orjson.dumps(pod("p0", 2400))
    for clients in (1, 32):
        beside = [(etcd.port, lambda: etcd.put(values), 200)] if etcd else []
        found = await bench.rates(clients, (0, bench.new_pod, 201), *beside)
        target = "3,000/s" if clients == 32 else ""
        say(f"durable pod creates, {clients} clients", f"{found[0]:,.0f}/s", target, *_rates(found[1:]))
    say("deletecollection of these", f"{await bench.clear():.1f} s", "")
    await bench.fill(1000, 4096)
    say("LIST of 1,000 pods of 4 KiB", f"{await bench.listing():.1f} ms", "14 ms")
    first = bench_name(bench)
    get = request("GET", f"{PODS}/{first}")
    for clients in (1, 32):
        beside = [(etcd.port, lambda: etcd.get(0), 200)] if etcd else []
        found = await bench.rates(clients, (0, lambda: get, 200), *beside)
        target = "12,000/s" if clients == 32 else ""
        say(f"pod GETs, {clients} clients", f"{found[0]:,.0f}/s", target, *_rates(found[1:]))
    turns = iter(range(10**9))

    def change() -> bytes:
        turn = next(turns)
        name = f"p{int(first[1:]) + turn % 500}"
        return request("PATCH", f"{PODS}/{name}", {"metadata": {"labels": {"turn": str(turn)}}}, MERGE)

    say("patches, 32 clients", f"{(await bench.rates(32, (0, change, 200)))[0]:,.0f}/s", "")
    latencies = [await bench.latency(200) for _ in range(bench.rounds)]
    middle, slow = (statistics.median(each) for each in zip(*latencies, strict=True))
    say("write to watch event at 200/s, p50", f"{middle:.1f} ms", "")
    say("write to watch event at 200/s, p99", f"{slow:.1f} ms", "10 ms")
    for count in (100, 1000):
        say(f"events to {count} watchers", f"{await bench.fan_out(count):,.0f}/s", "100,000/s" if count == 100 else "")
    if pods:
        await bench.fill(pods - 1000, 4096)
        say(f"memory, {pods:,} pods of 4 KiB", f"{bench.memory():.0f} MiB", "600 MiB")


def _rates(found: Sequence[float]) -> list[str]:
    return [f"{each:,.0f}/s" for each in found]


def bench_name(bench: Bench) -> str:
    """The first of the last thousand pods."""
    return f"p{next(bench._names) - 1000}"


@contextmanager
def running() -> Iterator[ApiServer]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp")) as home:
        server = make(Path(home))
        began = time.perf_counter()
        server.start()
        server.ready_after = time.perf_counter() - began  # type: ignore[attr-defined]
        try:
            yield server
        finally:
            server.stop(signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each measurement, of which the median counts")
    parser.add_argument(
        "--pods", type=int, default=30_000, help="stored for the measurement of memory; 0 leaves it out"
    )
    parser.add_argument("--quick", action="store_true", help="one short run of each, no measurement of memory")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.rounds, chosen.pods = 0.5, 1, 0
    today = datetime.datetime.now(datetime.UTC).date()
    load = os.getloadavg()[0]
    print(f"{today}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
          f"load average {load:.1f} before, {chosen.rounds} runs of {chosen.seconds:g} s each\n")  # fmt: skip
    print(f"{'':44}{'measured':>12}{'target':>12}{'etcd':>12}")

    def say(what: str, found: str, target: str, etcd: str = "") -> None:
        print(f"{what:44}{found:>12}{target:>12}{etcd:>12}".rstrip(), flush=True)

    with running() as server, api_etcd.running(server.home, server.home / "pki") as etcd:
        say("ready after", f"{server.ready_after:.2f} s", "")  # type: ignore[attr-defined]
        work: Awaitable[None] = measure(Bench(server, chosen.seconds, chosen.rounds), etcd, chosen.pods, say)
        uvloop.run(work)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
