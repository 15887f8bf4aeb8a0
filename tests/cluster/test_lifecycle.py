"""`panal up` and `down`: side by side, twice, with a taken port, and killed in every way; nothing is ever left."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import psutil
import pytest
import yaml
from harness import Cluster, User, Variant, a_cluster, a_user, alive_of, processes_below, steward_of, until, variants

ORDINARY = [variant for variant in variants() if variant.user == variants()[-1].user]


def test_two_clusters_run_side_by_side(variant: Variant) -> None:
    if variant.network == "loopback":
        pytest.skip("two clusters in the loopback network would share addresses; `up` refuses the second")
    with a_user(variant.user) as user:
        for name in ("one", "two"):
            user.panal("up", "--name", name, "--nodes", "1", "--network", variant.network)
        try:
            clusters = [Cluster(user, variant, name) for name in ("one", "two")]
            clusters[0].kubectl("create", "configmap", "mine", "--from-literal=a=b")
            assert "mine" in clusters[0].kubectl("get", "configmaps")
            assert "mine" not in clusters[1].kubectl("get", "configmaps")
            contexts = yaml.safe_load((user.home / "kubeconfig").read_text())["contexts"]
            assert {entry["name"] for entry in contexts} == {"panal-one", "panal-two"}
        finally:
            for name in ("one", "two"):
                user.panal("down", "--name", name)
        assert alive_of(user.uid, str(user.home)) == []


def test_up_twice_says_that_it_runs_already(variant: Variant) -> None:
    with a_cluster(variant, "panal", "--nodes", "1") as cluster:
        again = cluster.panal("up", check=False)
        assert again.returncode == 1
        assert "already" in again.stderr
        assert "panal down" in again.stderr
        assert "Traceback" not in again.stderr
        assert cluster.get("nodes")["items"]


@pytest.mark.parametrize("victim", ["steward", "keeper"])
def test_killing_steward_or_keeper_leaves_nothing_behind(variant: Variant, victim: str) -> None:
    with a_user(variant.user) as user:
        user.panal("up", "--nodes", "2", "--network", variant.network, "--proxy-mode", variant.proxy_mode)
        cluster = Cluster(user, variant, "panal")
        mounts = _mounts()
        steward = steward_of(cluster.folder)
        everyone = processes_below(cluster.folder)
        assert len(everyone) > 8
        os.kill(steward.pid if victim == "steward" else steward.ppid(), signal.SIGKILL)
        psutil.wait_procs(everyone, timeout=15)
        until(lambda: alive_of(user.uid, str(user.home)) == [], what="every process ended")
        until(lambda: not cluster.folder.exists(), what="the cluster's folder removed")
        assert _mounts() <= mounts
        user.panal("down", check=False)
        up = user.panal("up", "--nodes", "1", "--network", variant.network)
        assert up.returncode == 0
        user.panal("down")


def test_killing_everything_at_once_is_cleaned_up_by_down(variant: Variant) -> None:
    with a_user(variant.user) as user:
        user.panal("up", "--nodes", "1", "--network", variant.network, "--proxy-mode", variant.proxy_mode)
        cluster = Cluster(user, variant, "panal")
        steward = steward_of(cluster.folder)
        keeper = steward.ppid()
        os.kill(keeper, signal.SIGSTOP)
        os.kill(steward.pid, signal.SIGKILL)
        os.kill(keeper, signal.SIGKILL)
        user.panal("down")
        until(lambda: alive_of(user.uid, str(user.home)) == [], what="every process ended")
        assert not cluster.folder.exists()


def _mounts() -> set[str]:
    return set(Path("/proc/self/mounts").read_text().splitlines())


@pytest.fixture
def user() -> User:
    with a_user("ordinary") as someone:
        yield someone  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["No such file"]),
        ("a: [", ["YAML"]),
        ("kind: Deployment\n", ["kind", "Cluster"]),
        (
            "apiVersion: panal.dev/v1\nkind: Cluster\nspec: {nodes: [{name: UPPER, address: 192.168.0.1}]}\n",
            ["nodes[0].name"],
        ),
        ("apiVersion: panal.dev/v1\nkind: Cluster\nspec: {lan: 300.0.0.0/16}\n", ["spec.lan"]),
        ("apiVersion: panal.dev/v1\nkind: Cluster\nspec: {nodez: []}\n", ["nodez"]),
    ],
)
def test_an_unusable_configuration_is_named_with_the_reason(user: User, content: str | None, words: list[str]) -> None:
    path = user.home / "cluster.yaml"
    if content is not None:
        path.write_text(content)
        path.chmod(0o644)
    done = user.panal("up", "--config", str(path), check=False)
    assert done.returncode == 1
    assert str(path) in done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (user.home / "panal" / "clusters" / "panal").exists()


def test_a_taken_port_is_named_with_the_way_out(user: User) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = user.home / "cluster.yaml"
        path.write_text(f"apiVersion: panal.dev/v1\nkind: Cluster\nspec: {{edge: {{apiPort: {port}}}}}\n")
        path.chmod(0o644)
        done = user.panal("up", "--config", str(path), check=False)
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "apiPort" in done.stderr
    assert "Traceback" not in done.stderr
    assert alive_of(user.uid, str(user.home)) == []


def test_commands_on_a_cluster_that_is_not_there_say_so(user: User) -> None:
    for command in (["status"], ["kubeconfig"], ["shell", "nodo1"], ["rules", "nodo1"], ["logs", "steward"]):
        done = user.panal(*command, check=False)
        assert done.returncode == 1, command
        assert "panal up" in done.stderr, command
        assert "Traceback" not in done.stderr


def test_status_logs_kubeconfig_and_shell_show_the_running_cluster(variant: Variant) -> None:
    with a_cluster(variant, "panal", "--nodes", "2") as cluster:
        status = cluster.panal("status").stdout
        assert "nodo1" in status
        assert "nodoa" in status
        assert variant.network in status
        assert "steward" in cluster.panal("logs", "steward").stdout or cluster.panal("logs", "steward").returncode == 0
        assert cluster.panal("logs", "kubelet-nodoa").stdout
        assert yaml.safe_load(cluster.panal("kubeconfig").stdout)["current-context"] == "panal"
        assert cluster.exec_on("nodoa", "sh", "-c", "echo $((40 + 2))").strip() == "42"
        done = cluster.panal("shell", "nodoa", "--", "sh", "-c", "exit 7", check=False)
        assert done.returncode == 7
        wrong = cluster.panal("shell", "nowhere", "--", "true", check=False)
        assert wrong.returncode == 1
        assert "nodoa" in wrong.stderr
