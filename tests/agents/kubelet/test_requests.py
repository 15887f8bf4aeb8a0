"""From a pod to what the runtime is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from panal.agents.kubelet import requests
from panal.agents.kubelet.dns import Resolv
from panal.agents.kubelet.env import ConfigError
from panal.agents.kubelet.podspec import HASH_LABEL
from panal.agents.kubelet.requests import container_config, hostname, sandbox_config
from panal.agents.runtime.contract import SandboxConfig


def test_a_sandbox_has_the_pods_name_and_its_names_to_look_up(pod: Any) -> None:
    aliases = [{"ip": "1.2.3.4", "hostnames": ["db"]}]
    found = sandbox_config(pod("web", hostAliases=aliases), 2, Resolv(["10.10.1.10"], ["a"], ["ndots:5"]), "nodoa")
    labels = {
        "io.kubernetes.pod.name": "p",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": "u1",
    }
    assert found == SandboxConfig(
        name="p", namespace="default", uid="u1", attempt=2, hostname="p", dns_servers=["10.10.1.10"],
        dns_searches=["a"], dns_options=["ndots:5"], host_aliases=[("1.2.3.4", ["db"])], labels=labels,
    )  # fmt: skip


def test_a_pod_of_the_nodes_network_has_the_nodes_name(pod: Any) -> None:
    assert hostname(pod("web", hostNetwork=True), "nodoa") == "nodoa"
    assert hostname(pod("web", hostname="db-0"), "nodoa") == "db-0"
    for fields in ({}, {"hostNetwork": True}, {"shareProcessNamespace": True}):
        found = sandbox_config(pod("web", **fields), 0, Resolv([], [], []), "nodoa")
        asked = (found.host_network, found.share_process_namespace)
        assert asked == ("hostNetwork" in fields, "shareProcessNamespace" in fields)


def test_a_container_is_asked_for_with_its_limits_and_rights(pod: Any) -> None:
    spec = {
        "name": "web",
        "image": "nginx",
        "command": ["run", "$(WHO)", "$$x"],
        "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": "0.5"}},
        "securityContext": {"runAsUser": 33, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
    }
    security = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}
    found = container_config(pod(spec, securityContext=security), spec, 7, {"WHO": "me"}, [], "/log")
    assert (found.command, found.args, found.attempt) == (["run", "me", "$x"], None, 7)
    assert (found.memory_limit, found.cpu_shares_milli, found.cpu_limit_milli) == (1 << 30, 500, 1500)
    assert (found.user, found.group, found.supplemental_groups) == (33, 2, [4, 3])
    assert (found.readonly_rootfs, found.drop_capabilities) == (True, ["ALL"])
    assert found.labels["io.kubernetes.container.name"] == "web"
    assert len(found.labels[HASH_LABEL]) == 16


def test_root_is_refused_where_the_pod_forbids_it(pod: Any) -> None:
    spec = {"name": "web", "image": "x", "securityContext": {"runAsUser": 0, "runAsNonRoot": True}}
    with pytest.raises(ConfigError, match="breaks non-root policy"):
        container_config(pod(spec), spec, 0, {}, [], "")


def test_a_pod_with_a_subdomain_has_a_full_name_and_may_see_it_as_its_own(pod: Any) -> None:
    plain = sandbox_config(pod("web", hostname="h", subdomain="sub"), 0, Resolv([]), "nodoa", "cluster.local")
    assert (plain.hostname, plain.domain, plain.full_hostname) == ("h", "sub.default.svc.cluster.local", False)
    full = sandbox_config(
        pod("web", hostname="h", subdomain="sub", setHostnameAsFQDN=True), 0, Resolv([]), "nodoa", "cluster.local"
    )
    assert full.full_hostname
    too_long = pod("web", hostname="h" * 40, subdomain="sub", setHostnameAsFQDN=True)
    with pytest.raises(ConfigError, match="is too long"):
        sandbox_config(too_long, 0, Resolv([]), "nodoa", "cluster.local")


def test_an_image_that_runs_as_root_is_refused_only_where_its_user_decides(pod: Any) -> None:
    asked = pod("web", securityContext={"runAsNonRoot": True})
    [spec] = asked["spec"]["containers"]
    assert requests.must_not_be_root(asked, spec)
    assert str(requests.image_is_root(asked, spec)) == (
        'container has runAsNonRoot and image will run as root (pod: "p_default(u1)", container: web)'
    )
    assert not requests.must_not_be_root(asked, {**spec, "securityContext": {"runAsUser": 1000}})
