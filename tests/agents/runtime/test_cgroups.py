"""Limits as the two generations of cgroups take them, and for real where they may be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from panal.agents.runtime import cgroups
from panal.agents.runtime.cgroups import Cgroups
from panal.agents.runtime.contract import ContainerConfig, SandboxConfig

LIMITED = ContainerConfig("x", "x", memory_limit=64 << 20, cpu_limit_milli=500, cpu_shares_milli=250)


def test_shares_are_kubernetes() -> None:
    assert [cgroups.shares(milli) for milli in (0, 1, 250, 1000, 10**9)] == [2, 2, 256, 1024, 262144]


def test_the_second_generations_files(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    (tmp_path / "cgroup.procs").touch()
    made = Cgroups("test", tmp_path)
    assert made.available()
    [folder] = made.create("id", LIMITED)
    assert folder == f"{tmp_path}/panal/test/id"
    assert {path.name: path.read_text() for path in Path(folder).iterdir()} == {
        "memory.max": "67108864",
        "cpu.weight": "10",
        "cpu.max": "50000 100000",
    }


def test_containers_of_a_pod_share_the_number_of_its_processes(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.procs").touch()
    second = Cgroups("test", tmp_path)
    for name in ("one", "two"):
        assert second.create(name, ContainerConfig("x", "x"), ("pod", 30)) == (f"{tmp_path}/panal/test/pod/{name}",)
    assert (tmp_path / "panal/test/pod/pids.max").read_text() == "30"
    assert "+pids" in (tmp_path / "panal/test/cgroup.subtree_control").read_text()
    first_root = tmp_path / "v1"
    for controller in ("memory", "cpu", "pids"):
        (first_root / controller).mkdir(parents=True)
        (first_root / controller / "cgroup.procs").touch()
    first = Cgroups("test", first_root)
    assert first.available(pids=True)
    assert first.create("one", ContainerConfig("x", "x"), ("pod", 30)) == (f"{first_root}/pids/panal/test/pod",)
    assert (first_root / "pids/panal/test/pod/pids.max").read_text() == "30"
    assert cgroups.limits(ContainerConfig("x", "x"), SandboxConfig("p", "default", "u", pids_limit=30))
    assert not cgroups.limits(ContainerConfig("x", "x"), SandboxConfig("p", "default", "u"))


def test_without_cgroups_there_are_none(tmp_path: Path) -> None:
    assert not Cgroups("test", tmp_path).available()
    assert cgroups.limits(LIMITED)
    assert not cgroups.limits(ContainerConfig("x", "x", cpu_shares_milli=100))
    assert not cgroups.oom_killed((str(tmp_path),))


@pytest.mark.skipif(os.geteuid() != 0 or not Cgroups("x").available(), reason="needs cgroups that may be written")
def test_the_kernel_kills_what_takes_too_much_and_it_is_seen() -> None:
    cluster = f"test-{os.getpid()}"
    folders = Cgroups(cluster).create("one", LIMITED)
    try:
        script = "import os\nx = []\nwhile True: x.append(os.urandom(1 << 20))"

        def enter() -> None:
            for folder in folders:
                Path(folder, "cgroup.procs").write_text("0")

        assert subprocess.run([sys.executable, "-c", script], preexec_fn=enter, timeout=60).returncode == -9
        assert cgroups.oom_killed(folders)
    finally:
        cgroups.remove(folders)
    assert not any(Path(folder).exists() for folder in folders)
