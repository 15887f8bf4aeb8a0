"""What the tests of all proxies share: the real API server as a process."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from panal.client import Client

from ..ports import free_port


def server_module() -> ModuleType:
    """The API server's own test harness, which lives beside its tests."""
    if "apiserver_harness" in sys.modules:
        return sys.modules["apiserver_harness"]
    path = Path(__file__).parents[1] / "controlplane" / "apiserver" / "http" / "conftest.py"
    spec = importlib.util.spec_from_file_location("apiserver_harness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_apiserver() -> Callable[..., Any]:
    """`make(home, loopback=True)`: an API server that is not started yet."""
    return make_server


def make_server(home: Path, *, loopback: bool = False) -> Any:
    if not loopback:
        return server_module().make(home)
    arguments = ["--service-cluster-ip-range=127.96.0.0/12"]
    return server_module().make(home, network="loopback", arguments=arguments)


@pytest.fixture(scope="module")
def loopback_apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running API server of a cluster in the loopback network, for a module's tests."""
    server = make_server(tmp_path_factory.mktemp("apiserver"), loopback=True)
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


@pytest.fixture
async def client(loopback_apiserver: Any) -> AsyncIterator[Client]:
    async with Client.from_kubeconfig(loopback_apiserver.user("tester", "system:masters")) as client:
        yield client


@pytest.fixture
def port() -> int:
    """A port that nobody uses, for addresses of 127/8 that parallel tests may share."""
    return free_port()


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """Wait until a check returns something true, or it took too long."""
    import asyncio

    async def wait(check: Callable[[], Any], seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                result = check()
                if isinstance(result, Awaitable):
                    result = await result
                if result:
                    return result
                problem: object = f"{result!r}"
            except (OSError, AssertionError) as error:
                problem = error
            assert time.monotonic() < deadline, problem
            await asyncio.sleep(0.02)

    return wait
