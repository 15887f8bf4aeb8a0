"""Keeper and steward as `panal up` starts them: whoever of the two is killed, the other one leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from panal import cleanup
from panal.agents.network.capability import probe
from panal.command.failure import Failure
from panal.command.running import ask
from panal.paths import ClusterPaths

pytestmark = pytest.mark.xdist_group("steward")  # in the loopback network two clusters at once would want one address
NETWORKS = ["netns", "loopback"] if probe(os.environ).namespaces is None else ["loopback"]


def until(check, seconds=30.0, said=str):
    """Wait for it; `said` gives words for when it doesn't come."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"it took too long: {said()}"
        time.sleep(0.02)
    return found


class Cluster:
    """A cluster that is being started; how far it gets does not matter here."""

    def __init__(self, home: Path, network: str) -> None:
        self.paths = ClusterPaths.of(home, "panal")
        self._environ = {**os.environ, "PANAL_HOME": str(home), "KUBECONFIG": str(home.parent / "kubeconfig")}
        file = home.parent / "cluster.yaml"
        # Addresses that no other cluster of the loopback network has.
        file.write_text(
            "apiVersion: panal.dev/v1\nkind: Cluster\nspec: {lan: 192.201.0.0/16, podCIDR: 10.202.0.0/16, "
            "serviceCIDR: 10.203.0.0/16, nodes: [{name: a, address: 192.201.0.1}, {name: b, address: 192.201.0.2}], "
            "hosts: [], loadBalancer: {address: 192.201.0.10, addresses: 192.201.0.11-192.201.0.20}, "
            "externalDNS: {address: 192.201.0.3}}\n"
        )
        command = [sys.executable, "-m", "panal.command", "up", "--network", network, "--config", str(file)]
        said = home.parent / "up"
        with said.open("wb") as output:
            self.up = subprocess.Popen(command, env=self._environ, stdout=output, stderr=output)
        until(lambda: len([part for part in self.components().values() if part["pid"]]) >= 5, said=said.read_text)

    def panal(self, *words):
        command = [sys.executable, "-m", "panal.command", *words]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=20)

    def components(self):
        try:
            return {part["name"]: part for part in ask(self.paths, {"do": "status"})["components"]}
        except Failure:
            return {}

    @property
    def steward(self) -> int:
        return int((self.paths.root / "steward.pid").read_text())

    @property
    def keeper(self) -> int:
        with open(f"/proc/{self.steward}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])

    def gone(self) -> bool:
        return not self.paths.root.exists() and not cleanup.processes(self.paths.root)


@pytest.fixture(params=NETWORKS)
def cluster(request):
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="p") as folder:
        found = Cluster(Path(folder) / "h", request.param)
        yield found
        found.panal("down")
        found.up.kill()
        found.up.wait()
        assert found.gone()


def test_down_ends_everything_while_it_is_still_starting(cluster):
    assert cluster.panal("down").returncode == 0
    assert cluster.gone()


@pytest.mark.parametrize("victim", ["steward", "keeper"])
def test_the_survivor_cleans_up(cluster, victim):
    everyone = cleanup.processes(cluster.paths.root)
    assert len(everyone) > 8
    os.kill(getattr(cluster, victim), signal.SIGKILL)
    until(cluster.gone)
    until(lambda: not [pid for pid in everyone if alive(pid)])


def test_what_both_left_is_removed_by_the_next_command(cluster):
    cluster.up.kill()  # it would clean up too
    steward, keeper = cluster.steward, cluster.keeper
    for pid in (keeper, steward):
        os.kill(pid, signal.SIGSTOP)
    for pid in (keeper, steward):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(keeper) and not alive(steward))
    assert cluster.paths.root.exists()
    assert "had been killed; what it left is removed" in cluster.panal("status").stderr
    assert cluster.gone()


def test_a_cluster_whose_folder_was_deleted_ends(cluster):
    everyone = cleanup.processes(cluster.paths.root)
    cluster.up.kill()
    subprocess.run(["rm", "-rf", cluster.paths.root], stderr=subprocess.DEVNULL)
    until(lambda: not [pid for pid in everyone if alive(pid)])
    until(cluster.gone)


def test_down_ends_a_steward_that_is_stopped(cluster):
    os.kill(cluster.steward, signal.SIGSTOP)
    assert cluster.panal("down").returncode == 0
    assert cluster.gone()


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False
