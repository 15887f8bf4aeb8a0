"""One real API server process for the client libraries, with definitions and namespaces of the tests' own."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from panal.client import Client
from panal.errors import AlreadyExists, NotFound
from panal.resources import NAMESPACES, SERVICEACCOUNTS, resource

from ..cluster import harness
from ..controlplane.apiserver.http.conftest import ApiServer, make
from .objects import WIDGETS

T = TypeVar("T")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The server. `Widget` is defined in it."""
    server = make(tmp_path_factory.mktemp("clients"))
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        assert server.stop() == 0, server.log()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ApiServer]:
    """A running server of the test's own, which the test may kill."""
    found = make(tmp_path)
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def cluster() -> Iterator[harness.Cluster]:
    """A whole cluster, in which pods run; use namespaces of your own."""
    user = "root" if os.geteuid() == 0 else "ordinary"
    with harness.a_cluster(harness.Variant(user, "netns", "userspace"), "clients") as found:
        yield found


@pytest.fixture(scope="session")
def kubeconfig(served: ApiServer) -> Path:
    """The administrator's."""
    return served.user("admin", "system:masters")


@pytest.fixture
async def space(kubeconfig: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A namespace of the test's own with the service account that pods need; `Widget` is served.

    What a library leaves open is collected while its test lasts: the complaints are not those of the next one.
    """
    name = request.node.name.replace("_", "-").replace("[", "-").rstrip("]")[:60].rstrip("-.").lower()
    async with Client.from_kubeconfig(kubeconfig) as client:
        try:
            await client.create(resource("customresourcedefinitions", "apiextensions.k8s.io"), WIDGETS)
        except AlreadyExists:
            pass
        await client.create(NAMESPACES, {"metadata": {"name": name}})
        await client.create(SERVICEACCOUNTS, {"metadata": {"name": "default"}}, name)
        for _ in range(400):
            if await _is_served(client):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the definition is not served")
    yield name
    gc.collect()
    await asyncio.sleep(0)


async def _is_served(client: Client) -> bool:
    try:
        await client.request("GET", "/apis/clients.example.com/v1")
    except NotFound:
        return False
    return True


def until(what: str, condition: Callable[[], T], seconds: float = 30) -> T:
    """What `condition` returns once it is true; for clients that block."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {seconds} s until {what}"
        time.sleep(0.05)
    return found
