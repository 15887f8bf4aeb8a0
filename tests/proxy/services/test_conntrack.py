"""Which UDP flows are stale: decided purely; that they are cut is shown in test_netfilter.py."""

from __future__ import annotations

from panal.proxy.services.conntrack import Flow, stale
from panal.proxy.services.table import Endpoint, PortName, ServicePort

DNS = PortName("kube-system", "kube-dns", "dns", "UDP")
SERVICE, NODE = ("10.10.1.10", 53), ("192.168.0.101", 30053)
OLD, NEW = ("10.10.0.2", 53), ("10.10.0.3", 53)


def dns(*endpoints: tuple[str, int], name: PortName = DNS) -> ServicePort:
    return ServicePort(
        name, ("10.10.1.10",), 53, node_port=30053, endpoints=tuple(Endpoint(*endpoint) for endpoint in endpoints)
    )


def flow(destination: tuple[str, int], answers: tuple[str, int]) -> Flow:
    return Flow(destination, answers, b"")


def test_flows_to_endpoints_that_left_are_stale_wherever_they_came_in() -> None:
    flows = [flow(SERVICE, OLD), flow(SERVICE, NEW), flow(NODE, OLD), flow(NODE, NEW), flow(("8.8.8.8", 53), OLD)]
    assert list(stale(flows, [dns(NEW)], [])) == [flow(SERVICE, OLD), flow(NODE, OLD)]


def test_a_flow_that_began_without_endpoints_is_stale_once_there_are_some() -> None:
    assert list(stale([flow(SERVICE, SERVICE)], [dns(NEW)], [])) == [flow(SERVICE, SERVICE)]


def test_all_flows_to_a_removed_service_are_stale_unless_another_has_its_address() -> None:
    flows = [flow(SERVICE, OLD)]
    assert list(stale(flows, [], [dns(OLD)])) == flows
    heir = dns(OLD, name=PortName("kube-system", "heir", "dns", "UDP"))
    assert list(stale(flows, [heir], [dns(OLD)])) == []


def test_tcp_is_left_alone() -> None:
    web = dns(NEW, name=PortName("default", "web", "", "TCP"))
    assert list(stale([flow(SERVICE, OLD)], [web], [web])) == []
