"""On a real cluster of four nodes: from the change of an EndpointSlice to the rules in force on every node."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panal.client import Client
from panal.paths import ClusterPaths
from panal.resources import ENDPOINTSLICES, SERVICES

CHANGES = 100
PAUSE = 0.1
"""Seconds between changes: each finds the nodes at rest, old flows cut."""
NAME = "bench-net"


def run(rounds: int, seconds: float) -> Iterator[str]:
    """The lines of the report."""
    del rounds, seconds
    home = Path(tempfile.mkdtemp(prefix="bench-net-"))
    environ = {**os.environ, "PANAL_HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}
    command = [sys.executable, "-m", "panal.command"]
    try:
        subprocess.run([*command, "up", "--name", NAME], env=environ, check=True, stdout=subprocess.DEVNULL)
        mode = json.loads((home / "clusters" / NAME / "cluster.json").read_text())["proxy_mode"]
        found = asyncio.run(_changes(home))
        took, work = sorted(whole for whole, _ in found), sorted(own for _, own in found)
        middle, late = took[len(took) // 2], took[int(len(took) * 0.99) - 1]
        yield f"endpoint change to rules in force on every of 4 nodes, {mode}, {CHANGES} changes {PAUSE:g} s apart"
        yield f"ms: median {middle:.1f}, p99 {late:.1f}, max {took[-1]:.1f}"
        yield f"of it the slowest proxy's own work: median {work[len(work) // 2]:.1f}, max {work[-1]:.1f}"
    finally:
        subprocess.run([*command, "down", "--name", NAME], env=environ, check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(home, ignore_errors=True)


async def _changes(home: Path) -> list[tuple[float, float]]:
    """Milliseconds of each change until the last node has it, and of the slowest proxy's own work on it."""
    paths = ClusterPaths(home / "clusters" / NAME)
    nodes = [node["name"] for node in json.loads((paths.root / "cluster.json").read_text())["nodes"]]
    watches = []
    for node in nodes:
        reader, writer = await asyncio.open_unix_connection(paths.node(node).proxy_socket)
        writer.write(b"watch\n")
        await reader.readline()
        watches.append((reader, writer))
    took = []
    async with Client.from_kubeconfig(str(home / "kubeconfig")) as client:
        spec = {"ports": [{"port": 80, "protocol": "TCP"}]}
        await client.create(SERVICES, _object("v1", "Service", spec=spec), "default")
        for number in range(CHANGES + 1):
            address = f"10.244.9.{number % 250 + 1}"
            found = _object(
                "discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4", ports=[{"port": 80, "protocol": "TCP"}],
                endpoints=[{"addresses": [address], "conditions": {"ready": True}}],
            )  # fmt: skip
            await asyncio.sleep(PAUSE)
            started = time.time()
            await (client.update(ENDPOINTSLICES, found) if number else client.create(ENDPOINTSLICES, found, "default"))
            async with asyncio.timeout(10):
                applied = await asyncio.gather(*(_seen(reader, f"{address}:80") for reader, _ in watches))
            if number:
                took.append((1e3 * (max(when for when, _ in applied) - started), max(each for _, each in applied)))
    for _, writer in watches:
        writer.close()
    return took


def _object(version: str, kind: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": "bench", "namespace": "default", "labels": {"kubernetes.io/service-name": "bench"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


async def _seen(reader: asyncio.StreamReader, endpoint: str) -> tuple[float, float]:
    """When this node's rules had the endpoint, by the wall clock; how many milliseconds it worked on it."""
    while line := await reader.readline():
        said = json.loads(line)
        if said.get("op") == "+" and endpoint in said.get("endpoints", ()):
            return float(said["time"]), float(said["milliseconds"])
    raise ConnectionError("kube-proxy ended")
