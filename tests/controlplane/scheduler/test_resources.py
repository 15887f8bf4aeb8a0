from __future__ import annotations

from typing import Any

from panal.controlplane.scheduler.resources import host_ports, pod_requests, ports_clash


def container(restart: str = "", **requests: str) -> dict[str, Any]:
    found: dict[str, Any] = {"resources": {"requests": requests}}
    if restart:
        found["restartPolicy"] = restart
    return found


def requests(*containers: Any, init: Any = (), **spec: Any) -> dict[str, int]:
    return pod_requests({"spec": {"containers": list(containers), "initContainers": list(init), **spec}})


def test_containers_add_up() -> None:
    both = requests(container(cpu="100m", memory="1Gi"), container(cpu="1"))
    assert both == {"cpu": 1100, "memory": 1 << 30}


def test_a_big_init_container_counts_alone() -> None:
    assert requests(container(cpu="1"), init=[container(cpu="3"), container(cpu="2")]) == {"cpu": 3000}


def test_a_sidecar_runs_beside_everything_after_it() -> None:
    init = [container(cpu="2"), container("Always", cpu="500m"), container(cpu="2")]
    assert requests(container(cpu="1"), init=init) == {"cpu": 2500}
    assert requests(container(cpu="2"), init=init[:2]) == {"cpu": 2500}


def test_overhead_comes_on_top_and_pod_level_requests_in_place() -> None:
    assert requests(container(cpu="1"), overhead={"cpu": "50m"}) == {"cpu": 1050}
    assert requests(container(cpu="1"), resources={"requests": {"cpu": "3"}}) == {"cpu": 3000}


def test_a_modest_pod_counts_when_nodes_are_scored() -> None:
    assert pod_requests({"spec": {"containers": [{}]}}) == {}
    assert pod_requests({"spec": {"containers": [{}]}}, scoring=True) == {"cpu": 100, "memory": 200 << 20}


def test_ports_clash_on_the_same_address_or_on_all() -> None:
    pod = {"spec": {"containers": [{"ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]}}
    assert host_ports(pod) == {("0.0.0.0", "TCP", 8080)}
    assert ports_clash(host_ports(pod), [("127.0.0.1", "TCP", 8080)])
    assert not ports_clash(host_ports(pod), [("0.0.0.0", "UDP", 8080), ("0.0.0.0", "TCP", 8081)])
    assert not ports_clash([("127.0.0.1", "TCP", 1)], [("127.0.0.2", "TCP", 1)])
