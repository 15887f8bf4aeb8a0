"""kopf's own program runs an operator: finalizers, a timer, status, events; started before its definition exists."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from panal.client import Client
from panal.errors import NotFound, StatusError
from panal.resources import EVENTS, Resource, resource

from ..controlplane.apiserver.http.conftest import ApiServer
from .objects import definition

GROUP = "library.example.com"
SHELVES = Resource(GROUP, "v1", "shelves", "Shelf", True)
DEFINITIONS = resource("customresourcedefinitions", "apiextensions.k8s.io")
FINALIZER = f"{GROUP}/kopf"
DEFINITION = definition(
    GROUP, "Shelf", "shelves", {"properties": {"books": {"type": "array", "items": {"type": "string"}}}}
)


@pytest.fixture
def operator(own_server: ApiServer, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`kopf run` as a process of its own; it must end by itself when asked to."""
    kubeconfig = own_server.user("admin", "system:masters")
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces", "--verbose"]
    with open(tmp_path / "kopf.log", "wb") as log:
        process = subprocess.Popen(
            [*command, str(Path(__file__).with_name("kopf_operator.py"))],
            stdout=log, stderr=log, env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        )  # fmt: skip
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def test_an_operator_of_kopf_serves_its_custom_resource(
    own_server: ApiServer, operator: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    async with Client.from_kubeconfig(own_server.home / "admin.conf") as client:

        async def until(what: str, condition: Callable[[], Awaitable[Any]]) -> Any:
            for _ in range(800):
                if found := await condition():
                    return found
                assert operator.poll() is None, (tmp_path / "kopf.log").read_text()
                await asyncio.sleep(0.05)
            pytest.fail(f"{what}: {await shelf()}\n{(tmp_path / 'kopf.log').read_text()[-8000:]}")

        async def shelf() -> dict[str, Any] | None:
            try:
                return await client.get(SHELVES, "a", "default")
            except NotFound:
                return None

        async def status(key: str, value: Any) -> Any:
            found = await shelf()
            return found and found.get("status", {}).get(key) == value and found

        async def make_one() -> bool:
            body = {"apiVersion": f"{GROUP}/v1", "kind": "Shelf", "metadata": {"name": "a"}, "spec": {"books": ["x"]}}
            try:
                await client.create(SHELVES, body, "default")
            except StatusError:
                return False
            return True

        await until("kopf is up", lambda: _said(tmp_path, b"Initial authentication has finished"))
        await client.create(DEFINITIONS, DEFINITION)
        await until("the shelf is made", make_one)
        found = await until("its handler has run", lambda: status("made", {"books": 1}))
        assert found["metadata"]["finalizers"] == [FINALIZER]
        assert found["status"]["phase"] == "Standing"
        await until("the timer has run thrice", lambda: status("dusted", 3))
        await client.patch(SHELVES, "a", {"spec": {"books": ["x", "y"]}}, "default")
        await until("the change is handled", lambda: status("change", "1 to 2"))

        async def told() -> bool:
            events = (await client.list(EVENTS, "default"))["items"]
            return any((item["reason"], item["involvedObject"]["kind"]) == ("Built", "Shelf") for item in events)

        await until("kopf's events are stored", told)
        await client.delete(SHELVES, "a", "default")

        async def gone() -> bool:
            return await shelf() is None

        await until("its finalizer lets go", gone)
        assert b"farewell to default/a" in (tmp_path / "kopf.log").read_bytes()
    operator.send_signal(signal.SIGTERM)
    assert operator.wait(10) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert b"Traceback" not in (tmp_path / "kopf.log").read_bytes()


async def _said(folder: Path, text: bytes) -> bool:
    return text in (folder / "kopf.log").read_bytes()
