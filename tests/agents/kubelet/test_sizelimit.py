"""A pod whose emptyDir grows beyond its limit has to go; one without a limit is never measured."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from panal.agents.kubelet import sizelimit
from panal.agents.kubelet.model import End

POD: Any = {
    "metadata": {"name": "p", "namespace": "default", "uid": "u"},
    "spec": {"volumes": [{"name": "free", "emptyDir": {}}, {"name": "cache", "emptyDir": {"sizeLimit": "8Ki"}}]},
}


async def test_a_pod_is_evicted_once_its_folder_is_larger_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizelimit, "PERIOD", 0.01)
    gone: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "small").write_bytes(b"x" * 4096)

    def evict(_: Any, end: End) -> None:
        if not gone.done():
            gone.set_result(end)

    watch = sizelimit.SizeLimits(lambda: [POD], lambda _, name: tmp_path / name, lambda _: tmp_path / "logs", evict)
    watch.noticed(POD)
    task = asyncio.get_running_loop().create_task(watch.run())
    await asyncio.sleep(0.05)
    assert not gone.done()
    (tmp_path / "cache" / "large").write_bytes(b"x" * 65536)
    end = await asyncio.wait_for(gone, 5)
    task.cancel()
    assert (end.reason, end.message) == ("Evicted", 'Usage of EmptyDir volume "cache" exceeds the limit "8Ki". ')


def test_a_limit_of_nought_is_none_and_others_volumes_have_none() -> None:
    pod: Any = {"spec": {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "0"}}, {"name": "b", "configMap": {}}]}}
    assert sizelimit.limits(pod) == {}


def limited(*storage: str | None, volumes: list[Any] | None = None) -> Any:
    containers = [
        {"name": f"c{n}", "resources": {"limits": {"ephemeral-storage": text} if text else {}}}
        for n, text in enumerate(storage)
    ]
    return {"spec": {"containers": containers, "volumes": volumes or []}}


def words(pod: Any, volumes: dict[str, int], logs: dict[str, int]) -> str:
    end = sizelimit.verdict(pod, sizelimit.Use(volumes, logs))
    return end.message if end else ""


def test_what_emptydirs_and_logs_hold_together_is_held_against_the_containers_limits() -> None:
    dirs = [{"name": "a", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]
    pod = limited("1Ki", "2Ki", volumes=dirs)
    assert sizelimit.is_limited(pod)
    assert words(pod, {"a": 2048, "m": 9999}, {"c0": 1024}) == ""
    said = "Pod ephemeral local storage usage exceeds the total limit of containers "
    assert words(pod, {"a": 2049, "m": 0}, {"c0": 1024}) == f"{said}3Ki. "
    assert words(limited("2Gi", None, volumes=dirs), {"a": 3 << 30}, {}) == f"{said}2Gi. "


def test_a_containers_log_is_held_against_its_own_limit() -> None:
    said = 'Container c0 exceeded its local ephemeral storage limit "1Ki". '
    assert words(limited("1Ki", "2Ki"), {}, {"c0": 1025}) == said
    assert not sizelimit.is_limited(limited(None))


async def test_logs_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizelimit, "PERIOD", 0.01)
    gone: asyncio.Future[End] = asyncio.get_running_loop().create_future()
    pod = {"metadata": POD["metadata"], **limited("8Ki")}
    (tmp_path / "c0").mkdir()
    (tmp_path / "c0" / "0.log").write_bytes(b"x" * 65536)

    def evict(_: Any, end: End) -> None:
        if not gone.done():
            gone.set_result(end)

    watch = sizelimit.SizeLimits(lambda: [pod], lambda _, name: tmp_path / name, lambda _: tmp_path, evict)
    watch.noticed(pod)
    task = asyncio.get_running_loop().create_task(watch.run())
    end = await asyncio.wait_for(gone, 5)
    task.cancel()
    assert end.message == "Pod ephemeral local storage usage exceeds the total limit of containers 8Ki. "
