"""The files a new cluster begins with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from panal.agents.node.prepare import node_config, prepare
from panal.clusterfile import resolve
from panal.config import load_node
from panal.kubeconfig import access
from panal.paths import ClusterPaths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    found = ClusterPaths(tmp_path_factory.mktemp("cluster"))
    config = resolve(None, "-", name="two", nodes=2, network="netns", proxy_mode="userspace", runtime="namespaces")
    prepare(config, found)
    return found


def test_every_node_has_its_configuration_and_its_own_identity(paths):
    for name, address in (("nodo1", "192.168.0.100"), ("nodoa", "192.168.0.101")):
        node = load_node(paths.node(name).config)
        assert (node.node.name, node.node.address, node.home) == (name, address, str(paths.root))
        how = access(paths.node(name).kubeconfig)
        assert how.server == "https://192.168.0.100:6443" == node.server


def test_the_control_plane_stands_in_the_first_nodes_manifests_alone(paths):
    found = {file.name: json.loads(file.read_text()) for file in paths.node("nodo1").manifests.iterdir()}
    assert sorted(found) == ["kube-apiserver.json", "kube-controller-manager.json", "kube-scheduler.json"]
    assert all(pod["kind"] == "Pod" for pod in found.values())
    assert list(paths.node("nodoa").manifests.iterdir()) == []


def test_a_lone_node_takes_ordinary_pods_too():
    for count, tainted in ((1, False), (2, True)):
        config = resolve(None, "-", name=None, nodes=count, network="netns", proxy_mode="userspace", runtime="plain")
        assert node_config(config, ClusterPaths(Path("/home")), "nodo1").tainted is tainted


def test_nodes_of_an_isolated_lan_ask_its_dns_server_and_others_the_machines():
    for network, resolver in (("netns", "192.168.0.2"), ("loopback", None)):
        config = resolve(None, "-", name=None, nodes=1, network=network, proxy_mode="userspace", runtime="plain")
        assert node_config(config, ClusterPaths(Path("/home")), "nodo1").resolver == resolver


def test_keys_and_configurations_are_private(paths):
    files = [path for path in paths.root.rglob("*") if path.is_file() and path.suffix in (".key", ".json", ".conf")]
    assert len(files) > 8
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
