"""What a node tells of itself when it was silent for a while."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from panal.agents.kubelet import registration
from panal.agents.kubelet.registration import Registration
from panal.config import NodeConfig, NodeSpec


class Api:
    """Keeps what the kubelet writes."""

    def __init__(self) -> None:
        self.statuses: list[Any] = []
        self.renewed = 0

    async def create(self, resource: Any, obj: Any, namespace: str | None = None) -> Any:
        return {**obj, "metadata": {**obj["metadata"], "uid": "u1"}}

    async def get(self, resource: Any, name: str, namespace: str | None = None) -> Any:
        return {"metadata": {"name": name}, "spec": {}}

    async def update(self, resource: Any, obj: Any) -> Any:
        self.renewed += 1
        return obj

    async def patch(self, resource: Any, name: str, patch: Any, *, kind: str, subresource: str = "") -> Any:
        self.statuses.append(patch)
        return {"metadata": {"name": name}, **patch}


NODE = NodeConfig(
    cluster="test",
    node=NodeSpec("nodo1", "192.168.0.100", "10.10.0.0/24"),
    network="netns",
    proxy_mode="userspace",
    runtime="namespaces",
    home="/nowhere",
    server="https://192.168.0.100:6443",
    cluster_dns="10.96.0.10",
    cluster_domain="cluster.local",
    service_cidr="10.96.0.0/12",
    cluster_pod_cidr="10.10.0.0/16",
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds since the machine's start, as a test says."""
    now = [1000.0]
    monkeypatch.setattr(registration.time, "clock_gettime", lambda which: now[0])
    monkeypatch.setattr(registration, "RENEW_SECONDS", 0.01)
    return now


async def until_renewed(api: Api, times: int) -> None:
    async with asyncio.timeout(5):
        while api.renewed < times:
            await asyncio.sleep(0.005)


async def test_a_node_that_was_silent_tells_its_status_again(clock: list[float]) -> None:
    api = Api()
    task = asyncio.ensure_future(Registration(api, NODE).run())  # type: ignore[arg-type]  # noqa: TID251
    try:
        await until_renewed(api, 3)
        told = len(api.statuses)
        await until_renewed(api, 6)
        assert len(api.statuses) == told  # who renews its lease in time has nothing to add
        clock[0] += 30
        async with asyncio.timeout(5):
            while len(api.statuses) == told:
                await asyncio.sleep(0.005)
        conditions = api.statuses[-1]["status"]["conditions"]
        assert "Ready" in {item["type"] for item in conditions}
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_others_write_to_the_status_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an administrator's extended resource: what is in the capacity can be allocated a moment later."""
    monkeypatch.setattr(registration, "LOOK_SECONDS", 0.01)
    api = Api()
    stored: dict[str, Any] = {"metadata": {"name": "nodo1", "uid": "u1"}, "spec": {}, "status": {}}

    async def patch(resource: Any, name: str, patch: Any, *, kind: str, subresource: str = "") -> Any:
        api.statuses.append(patch)
        stored["status"] = patch["status"]
        return stored

    async def get(resource: Any, name: str, namespace: str | None = None) -> Any:
        return stored

    api.patch, api.get = patch, get  # type: ignore[method-assign]
    task = asyncio.ensure_future(Registration(api, NODE).run())  # type: ignore[arg-type]  # noqa: TID251
    try:
        async with asyncio.timeout(5):
            while not stored["status"]:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        told = len(api.statuses)
        await asyncio.sleep(0.1)
        assert len(api.statuses) == told  # nothing is written while nothing is said
        stored["status"] = {**stored["status"], "capacity": {**stored["status"]["capacity"], "example.com/dongle": "4"}}
        async with asyncio.timeout(5):
            while "example.com/dongle" not in stored["status"]["allocatable"]:
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
