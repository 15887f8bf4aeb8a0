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

    watch = sizelimit.SizeLimits(lambda: [POD], lambda _, name: tmp_path / name, evict)
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
