"""One real API server process for the client libraries, with definitions and namespaces of the tests' own."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from panal.client import Client
from panal.errors import AlreadyExists
from panal.resources import NAMESPACES, SERVICEACCOUNTS, resource

from ..controlplane.apiserver.http.conftest import ApiServer, make

T = TypeVar("T")

WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.clients.example.com"},
    "spec": {
        "group": "clients.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wi"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {"size": {"type": "integer", "minimum": 1}},
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}
"""A custom kind that the tests of all clients use."""

everything = pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="takes long; PANAL_TEST_ALL=1 runs it")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The server. `Widget` is defined in it."""
    server = make(tmp_path_factory.mktemp("clients"))
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        assert server.stop() == 0, server.log()


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
    from panal.errors import NotFound

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


def pod(name: str, **labels: str) -> dict[str, Any]:
    """A pod's manifest."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name, **labels}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    """A Deployment's manifest."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    }
