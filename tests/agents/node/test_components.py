"""What the steward runs, and in which order."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from panal.agents.node.components import components, hosts, later_modules, modules
from panal.clusterfile import resolve
from panal.paths import ClusterPaths

CONFIG = resolve(None, "-", name=None, nodes=3, network="netns", proxy_mode="userspace", runtime="plain")
PATHS = ClusterPaths(Path("/home"))


def test_the_control_planes_node_comes_first_then_the_others_then_the_lan():
    names = [component.name for component in components(CONFIG, PATHS)]
    assert names == [
        "runtime-nodo1", "kubelet-nodo1", "bring-up", "runtime-workers", "kubelet-nodoa", "kubelet-nodob", "dns", "lb",
    ]  # fmt: skip
    workers = next(component for component in components(CONFIG, PATHS) if component.name == "runtime-workers")
    assert [Path(argument).parent.name for argument in workers.arguments] == ["nodoa", "nodob"]
    assert [component.name for component in components(CONFIG, PATHS) if component.once] == ["bring-up"]


def test_a_forward_proxy_runs_only_where_it_is_configured():
    document = {"apiVersion": "panal.dev/v1", "kind": "Cluster", "spec": {"forwardProxy": {}}}
    config = resolve(document, "-", name=None, nodes=1, network="netns", proxy_mode="userspace", runtime="plain")
    assert [component.name for component in components(config, PATHS)][-1] == "proxy"
    assert dict(hosts(config))["proxy"] == "192.168.0.3"
    assert "proxy" not in dict(hosts(CONFIG))
    module, _, function = components(config, PATHS)[-1].entry.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_each_runs_on_a_host_that_is_on_the_lan():
    known = dict(hosts(CONFIG))
    assert known["nodob"] == "192.168.0.102"
    assert {component.host for component in components(CONFIG, PATHS)} <= set(known)


def test_the_companys_dns_knows_every_host_of_the_lan():
    dns = next(component for component in components(CONFIG, PATHS) if component.name == "dns")
    assert not any(argument.startswith("--update") for argument in dns.arguments)
    assert "--record=menchupc.miempresa.com=192.168.0.200" in dns.arguments
    assert sum(argument.startswith("--record=") for argument in dns.arguments) == len(hosts(CONFIG)) + 1
    assert "--record=*.apps.miempresa.com=192.168.0.10" in dns.arguments  # where Routes without a host of their own are


def test_the_companys_dns_says_no_to_other_names_only_where_nothing_lies_beyond():
    for network, isolated in (("netns", True), ("loopback", False)):
        config = resolve(None, "-", name=None, nodes=1, network=network, proxy_mode="userspace", runtime="plain")
        dns = next(component for component in components(config, PATHS) if component.name == "dns")
        assert ("--isolated" in dns.arguments) is isolated


@pytest.mark.parametrize("name", [*modules(), *later_modules()])
def test_every_component_can_be_imported_and_has_its_entry(name):
    module = importlib.import_module(name)
    assert callable(module.main)


def test_what_is_started_early_needs_no_module_that_comes_later():
    early = [component for component in components(CONFIG, PATHS) if component.early]
    assert [component.name for component in early] == ["runtime-nodo1", "kubelet-nodo1"]
    assert {component.entry.partition(":")[0] for component in early} <= set(modules())
    assert not set(modules()) & set(later_modules())
