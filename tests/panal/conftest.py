"""A real API server for the shared client's tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from panal.client import Client

_HTTP = Path(__file__).resolve().parents[1] / "controlplane" / "apiserver" / "http" / "conftest.py"


def _api_server_module() -> Any:
    name = "panal_tests_api_server"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _HTTP)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running API server process; see tests/controlplane/apiserver/http."""
    server = _api_server_module().make(tmp_path_factory.mktemp("apiserver"))
    server.start()
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.log()


@pytest.fixture
async def client(api_server: Any) -> AsyncIterator[Client]:
    """Its administrator."""
    async with Client.from_kubeconfig(api_server.user("admin", "system:masters")) as client:
        yield client
