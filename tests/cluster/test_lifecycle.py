"""`panal up` and `down`: side by side, twice, interrupted, refused, killed in every way; nothing is ever left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from harness import ORDINARY_UID, Cluster, User, Variant, a_user, alive_of, steward_of, until

from panal import cgroups

SLEEPER = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  containers:
  - {name: main, image: busybox, command: [sleep, "1000"], resources: {limits: {memory: 50Mi, cpu: 500m}}}
"""


@pytest.fixture(scope="module")
def shared(variant: Variant) -> Iterator[Cluster]:
    """One cluster for all that does not end it; the last test of them does."""
    with a_user(variant.user) as user:
        user.panal("up", "--nodes", "2", "--network", variant.network, "--proxy-mode", variant.proxy_mode)
        try:
            yield Cluster(user, variant, "panal")
        finally:
            user.panal("down", check=False)


def test_status_logs_kubeconfig_and_shell_show_the_running_cluster(shared: Cluster) -> None:
    status = shared.panal("status").stdout
    for word in ("nodo1", "nodoa", shared.variant.network, "usable", "Ready, control plane"):
        assert word in status
    assert "kubelet-nodoa started as process" in shared.panal("logs", "steward").stdout
    assert shared.panal("logs", "kubelet-nodoa").stdout
    assert yaml.safe_load(shared.panal("kubeconfig").stdout)["current-context"] == "panal"
    assert shared.exec_on("nodoa", "sh", "-c", "echo $((40 + 2))").strip() == "42"
    done = shared.panal("shell", "nodoa", "--", "sh", "-c", "exit 7", check=False)
    assert done.returncode == 7
    wrong = shared.panal("shell", "nowhere", "--", "true", check=False)
    assert wrong.returncode == 1
    assert "nodoa" in wrong.stderr


def test_ps_shows_each_process_by_its_name_and_whole_command_line(shared: Cluster) -> None:
    pids = ",".join(str(process.pid) for process in shared.processes())
    lines = subprocess.run(["ps", "-ww", "-o", "args=", "-p", pids], capture_output=True, text=True).stdout.splitlines()
    assert f"panal-keeper {shared.folder}" in lines
    assert f"panal-steward {shared.folder}" in lines
    assert f"kubelet --config={shared.folder}/nodes/nodoa/node.json" in lines
    assert len([line for line in lines if f"--edge-socket={shared.folder}/edge.sock" in line.split()]) == 2
    assert all(line == line.strip() and "---" not in line for line in lines)


def test_up_twice_says_that_it_runs_already(shared: Cluster) -> None:
    again = shared.panal("up", check=False)
    assert again.returncode == 1
    assert "already" in again.stderr
    assert "panal down" in again.stderr
    assert "Traceback" not in again.stderr
    assert shared.get("nodes")["items"]


def test_a_second_cluster_runs_beside_the_first_or_is_refused_with_the_reason(shared: Cluster) -> None:
    user, network = shared.user, shared.variant.network
    up = user.panal("up", "--name", "two", "--nodes", "1", "--network", network, check=False)
    if network == "loopback":
        assert up.returncode == 1
        assert "panal down --name panal" in up.stderr
        assert not (shared.folder.parent / "two").exists()
        return
    assert up.returncode == 0, up.stderr
    try:
        shared.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n")
        _assert_apart(shared, Cluster(user, shared.variant, "two"))
    finally:
        user.panal("down", "--name", "two")
    assert _contexts(user) == {"panal"}
    assert yaml.safe_load((user.home / "kubeconfig").read_text())["current-context"] == "panal"
    assert shared.get("nodes")["items"]
    assert alive_of(user.uid, str(shared.folder.parent / "two")) == []


def _assert_apart(first: Cluster, second: Cluster) -> None:
    assert "mine" in first.kubectl("get", "configmaps")
    assert "mine" not in second.kubectl("get", "configmaps")
    assert _contexts(first.user) == {"panal", "panal-two"}
    status = first.user.panal("status").stdout
    assert "cluster panal:" in status
    assert "cluster two:" in status


def _contexts(user: User) -> set[str]:
    return {entry["name"] for entry in yaml.safe_load((user.home / "kubeconfig").read_text())["contexts"]}


def test_down_leaves_no_process_namespace_mount_cgroup_or_file(shared: Cluster) -> None:
    shared.apply(SLEEPER)
    shared.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=20s")
    namespaces = _namespaces(shared.processes()) - _namespaces([psutil.Process()])
    assert len(namespaces) > (10 if shared.variant.network == "netns" else -1)
    if shared.variant == Variant("root", "netns", "netfilter") and os.access(cgroups.ROOT, os.W_OK):
        assert _cgroups(shared.folder)
    inside = [process for process in psutil.process_iter() if _namespaces([process]) & namespaces]
    shared.panal("down")
    assert alive_of(shared.user.uid, str(shared.user.home)) == []
    assert [process for process in inside if process.is_running()] == []
    assert str(shared.user.home) not in Path("/proc/self/mountinfo").read_text()
    assert _cgroups(shared.folder) == []
    assert _files(shared.user) == []


def _files(user: User) -> list[str]:
    """What lies in the user's home, but for kubectl's own cache."""
    return [path.name for path in user.home.iterdir() if path.name != ".kube"]


def _namespaces(processes: Iterator[psutil.Process] | list[psutil.Process]) -> set[str]:
    found = set()
    for process in processes:
        try:
            folder = f"/proc/{process.pid}/ns"
            found |= {os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
        except OSError:
            continue
    return found


def _cgroups(folder: Path) -> list[Path]:
    name = cgroups.name(folder)
    return [*cgroups.ROOT.glob(f"panal/{name}"), *cgroups.ROOT.glob(f"*/panal/{name}")]


def test_killed_in_every_way_it_leaves_nothing_behind_and_starts_again(variant: Variant) -> None:
    with a_user(variant.user) as user:
        cluster = Cluster(user, variant, "panal")
        for victim in ("steward", "keeper"):
            _up_again(cluster)
            steward, everyone = steward_of(cluster.folder), cluster.processes()
            assert len(everyone) > 8
            os.kill(steward.pid if victim == "steward" else steward.ppid(), signal.SIGKILL)
            psutil.wait_procs(everyone, timeout=15)
            _assert_gone(cluster, victim)
        _up_again(cluster)
        cluster.apply(SLEEPER)
        cluster.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=20s")
        _kill_all_but_the_sleeper(cluster)
        user.panal("down")
        _assert_gone(cluster, "everybody")


SAVER = """
apiVersion: v1
kind: Pod
metadata: {name: saver}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "trap 'echo saved > $FILE; exit 0' TERM; while :; do sleep 0.1; done"]
    env: [{name: FILE, value: /data/saved}]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, hostPath: {path: HOME/data, type: DirectoryOrCreate}}]
"""


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1 waits for pods to end")
def test_pods_that_are_given_a_grace_end_in_peace_before_their_cluster(variant: Variant) -> None:
    with a_user(variant.user) as user:
        cluster = Cluster(user, variant, "panal")
        _up_again(cluster)
        cluster.apply(SAVER.replace("HOME", str(user.home)))
        cluster.kubectl("wait", "--for=condition=Ready", "pod/saver", "--timeout=20s")
        ended = user.panal("down", "--grace", "9s")
        assert ended.stderr == ""
        assert (user.home / "data" / "saved").read_text() == "saved\n"
        shutil.rmtree(user.home / "data")
        _assert_gone(cluster, "everybody")


def _up_again(cluster: Cluster) -> None:
    variant = cluster.variant
    cluster.user.panal("up", "--nodes", "1", "--network", variant.network, "--proxy-mode", variant.proxy_mode)


def _assert_gone(cluster: Cluster, victim: str) -> None:
    """Nothing is left of it, soon."""
    user = cluster.user

    def nothing_left() -> bool:
        left = [*alive_of(user.uid, str(user.home)), *_files(user), *map(str, _cgroups(cluster.folder))]
        assert left == [], f"{victim} killed"
        return True

    until(nothing_left)
    assert str(user.home) not in Path("/proc/self/mountinfo").read_text()


def _kill_all_but_the_sleeper(cluster: Cluster) -> None:
    """The container alone is left, with nobody who knows of it; in namespaces it goes with the steward."""
    everyone = cluster.processes()
    (sleeper,) = [process for process in everyone if "1000" in process.cmdline()]
    keeper, steward = everyone[0], steward_of(cluster.folder)
    for process in everyone:
        process.suspend()
    sleeper.resume()
    for process in (keeper, steward, *everyone):
        if process != sleeper and process.is_running():
            process.kill()
    assert cluster.variant.network == "netns" or sleeper.is_running()


@pytest.mark.parametrize(
    ("sign", "number"),
    [("begun", signal.SIGINT), ("company LAN", signal.SIGHUP), ("API server answers", signal.SIGTERM)],
)
def test_interrupted_half_way_up_takes_everything_down_again(variant: Variant, sign: str, number: int) -> None:
    with a_user(variant.user) as user:
        words = [sys.executable, "-u", "-m", "panal.command", "up", "--nodes", "1", "--network", variant.network]
        starting = subprocess.Popen(
            user.command(words), env=user.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            if sign == "begun":
                until((user.home / "panal" / "clusters" / "panal" / "logs").exists)
            else:
                assert starting.stdout is not None
                while sign not in starting.stdout.readline():
                    assert starting.poll() is None, sign
            for _ in range(3):  # somebody impatient
                os.killpg(starting.pid, number)
                time.sleep(0.02)
            _, told = starting.communicate(timeout=20)
        finally:
            starting.kill()
        assert (starting.returncode, told) == (130, "panal: interrupted; taking the cluster down again.\n")
        assert alive_of(user.uid, str(user.home)) == []
        assert _files(user) == []


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


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("a: [", 0o600, "neither YAML nor JSON"),
        ("{}", 0o000, "cannot be read: Permission denied"),
        ("{}", 0o400, "is read-only"),
        ("- a", 0o600, "is not a mapping"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named_before_anything_starts(
    user: User, content: str, mode: int, words: str
) -> None:
    path = user.home / "kubeconfig"
    path.write_text(content)
    os.chown(path, user.uid, -1)
    path.chmod(mode)
    _assert_refused(user, user.panal("up", check=False), words, "KUBECONFIG")
    assert path.stat().st_mode & 0o777 == mode


def test_a_home_that_cannot_be_written_is_named(user: User) -> None:
    for home in ("/usr/panal", "/proc/panal", "/etc/passwd"):
        nowhere = User(user.uid, user.home, {"PANAL_HOME": home})
        _assert_refused(user, nowhere.panal("up", check=False), home, "PANAL_HOME")


def test_a_user_without_a_home_is_told_what_to_set(user: User) -> None:
    if user.uid != ORDINARY_UID:
        pytest.skip("this user has a home in /etc/passwd")
    panal = [sys.executable, "-m", "panal.command"]
    for words in (["up"], ["down"], ["status"]):
        done = user.run(["env", "-u", "HOME", "-u", "PANAL_HOME", *panal, *words], check=False)
        _assert_refused(user, done, "no home folder", "PANAL_HOME")
    done = user.run(["env", "-u", "HOME", "-u", "KUBECONFIG", *panal, "up"], check=False)
    _assert_refused(user, done, "no home folder for a kubeconfig", "KUBECONFIG")


def _assert_refused(user: User, done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One sentence that has the words, exit code 1, and nothing made."""
    assert done.returncode == 1
    assert done.stderr.startswith("panal: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr
    assert not (user.home / "panal").exists()
    assert alive_of(user.uid, str(user.home)) == []


@pytest.mark.parametrize("missing", ["cluster.json", "steward.sock", "steward.pid", "user-kubeconfig.json", "stopped"])
def test_down_ends_it_in_whatever_state(user: User, missing: str) -> None:
    user.panal("up", "--nodes", "1", "--network", "netns")
    folder = user.home / "panal" / "clusters" / "panal"
    if missing == "stopped":
        steward = steward_of(folder)
        for process in (steward.parent(), steward):
            assert process is not None
            process.suspend()
    else:  # without cluster.json the keeper ends it by itself, at the same time
        (folder / missing).unlink()
    downs = [
        subprocess.Popen(user.command([sys.executable, "-m", "panal.command", "down"]), env=user.env(), stderr=-1)
        for _ in range(2)
    ]
    told = [down.communicate(timeout=20)[1] for down in downs]
    assert all(b"Traceback" not in one for one in told)
    assert alive_of(user.uid, str(user.home)) == []
    assert not folder.exists()
    assert _files(user) == [] or missing == "user-kubeconfig.json"
