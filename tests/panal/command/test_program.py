"""The program as it is called: help, errors, and what it says of clusters that are not there."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from panal.clusterfile import resolve
from panal.command.edge import _on_this_machine
from panal.command.failure import Failure
from panal.command.logs import available, find
from panal.command.rules import lines
from panal.config import dump
from panal.paths import ClusterPaths


def panal(*words, home, check=None, python=()):
    environ = {**os.environ, "PANAL_HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}
    command = [sys.executable, *python, "-m", "panal.command", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_help_names_every_sub_command_and_loads_nothing_that_takes_time(short_path):
    done = panal("--help", home=short_path, python=("-X", "importtime"))
    for word in ("up", "down", "status", "kubeconfig", "shell", "rules", "logs"):
        assert f"\n  {word} " in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "panal.command" in loaded
    assert not loaded & {"asyncio", "aiohttp", "cryptography", "orjson", "psutil", "ssl", "yaml", "zeroconf"}


def _interrupted_when(event, words, home, times):
    """The exit code and what was said, when Control-C comes as the interpreter does `event` (sys.addaudithook)."""
    code = (
        "import os, signal, sys\n"
        "from panal.command.__main__ import main\n"
        f"left = {times}\n"
        "def hook(name, values):\n"
        "    global left\n"
        f"    if left and (name, str(values[0]) if values else '') == {event!r}:\n"
        "        left -= 1\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "sys.addaudithook(hook)\n"
        f"sys.argv[1:] = {words!r}\n"
        "main()\n"
    )
    environ = {**os.environ, "PANAL_HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("module", ["click", "panal.command.up", "panal.clusterfile"])
def test_an_interruption_while_modules_are_imported_is_one_line(short_path, module):
    """The first milliseconds of `panal up`, before it has begun anything."""
    told = _interrupted_when(("import", module), ["up"], short_path, 2)
    assert told == (130, "", "panal: interrupted.\n")
    assert not (short_path / "clusters").exists()


def test_an_interruption_after_the_end_of_an_interrupted_up_changes_nothing():
    from panal.command.up import one_interruption

    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt), one_interruption():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "words", [["status"], ["kubeconfig"], ["shell", "nodo1"], ["rules", "nodo1"], ["logs", "steward"]]
)
def test_without_a_cluster_the_way_to_one_is_told(short_path, words):
    done = panal(*words, home=short_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "panal: no cluster called 'panal' runs here; start it with `panal up`.\n"


def test_down_without_a_cluster_says_so(short_path):
    done = panal("down", "--name", "other", home=short_path)
    assert (done.returncode, done.stderr) == (1, "panal: there is no cluster called 'other'; nothing runs here.\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "--name", "../x"], "--name: '../x' is no cluster name"),
        (["up", "--nodes", "0"], "--nodes: is 0; a cluster has 1 to 200"),
        (["up", "--config", "/nowhere/c.yaml"], "/nowhere/c.yaml can't be read: No such file or directory"),
        (["status", "--name", "A"], "'A' is no cluster name"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(short_path, words, told):
    done = panal(*words, home=short_path / "home")
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (short_path / "home").exists()


def test_a_taken_port_is_named_and_nothing_is_left(short_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = short_path / "cluster.yaml"
        file.write_text(f"apiVersion: panal.dev/v1\nkind: Cluster\nspec: {{edge: {{httpPort: {port}}}}}\n")
        done = panal("up", "--config", str(file), home=short_path / "home")
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken by another program" in done.stderr
    assert "spec.edge.httpPort" in done.stderr
    assert not (short_path / "home").exists()


def test_a_home_too_deep_for_sockets_is_refused(short_path):
    done = panal("up", home=short_path / ("x" * 90))
    assert done.returncode == 1
    assert "choose a shorter one with PANAL_HOME" in done.stderr


def test_the_usual_port_is_taken_only_if_it_is_free():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _on_this_machine(0, port, "spec.edge.apiPort") as other:
            assert other.getsockname()[1] not in (0, port)
        with pytest.raises(Failure, match=rf"port {port} .*spec\.edge\.apiPort"):
            _on_this_machine(port, 6443, "spec.edge.apiPort")


def test_rules_are_the_lines_that_kube_proxy_gives():
    assert lines({"mode": "netfilter", "lines": ["a -> b"]}) == ["a -> b"]
    assert lines({"lines": []}) == ["no Service has rules here yet"]
    for answer in ([], {}, {"lines": "x"}, None):
        with pytest.raises(ValueError, match="no table"):
            lines(answer)


@pytest.fixture
def paths(short_path):
    found = ClusterPaths(short_path)
    config = resolve(None, "-", name=None, nodes=2, network="netns", proxy_mode="userspace", runtime="plain")
    found.config.write_bytes(dump(config))
    found.logs.mkdir()
    (found.logs / "steward.log").write_text("s")
    for node, pod, container in (
        ("nodo1", "kube-apiserver-nodo1", "kube-apiserver"),
        ("nodoa", "kube-proxy-x7k2p", "kube-proxy"),
    ):
        folder = found.node(node).pod_logs / f"kube-system_{pod}_uid" / container
        folder.mkdir(parents=True)
        (folder / "0.log").write_text("old")
        (folder / "1.log").write_text("new")
        os.utime(folder / "0.log", (1, 1))
    return found


def test_logs_are_found_by_the_components_name(paths):
    assert find(paths, "steward") == paths.logs / "steward.log"
    for name in ("kube-apiserver", "kube-apiserver-nodo1", "kube-proxy-nodoa"):
        file = find(paths, name)
        assert file is not None
        assert file.read_text() == "new"
    assert find(paths, "../cluster") is None
    assert available(paths) == ["kube-apiserver", "kube-apiserver-nodo1", "kube-proxy-nodoa", "steward"]


def test_the_configuration_survives_being_written(paths):
    assert json.loads(paths.config.read_bytes())["name"] == "panal"


def test_a_machine_that_is_a_node_elsewhere_starts_no_cluster_of_that_name_and_may_forget_it(short_path):
    paths = ClusterPaths.of(short_path, "panal")
    paths.membership.parent.mkdir(parents=True)
    paths.membership.write_text("not json")
    done = panal("up", home=short_path)
    assert done.returncode == 1
    assert "start that with `panal node start`" in done.stderr
    again = panal("node", "start", home=short_path)
    assert again.returncode == 1
    assert "the membership can't be read" in again.stderr
    assert panal("down", home=short_path).returncode == 0
    assert not paths.membership.parent.exists()
    nobody = panal("node", "start", home=short_path)
    assert "this machine is no node of a cluster that is called 'panal' here" in nobody.stderr
