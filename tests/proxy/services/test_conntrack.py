"""Which flows are stale: decided purely; that they are cut is shown in test_netfilter.py."""

from __future__ import annotations

from dataclasses import replace

from panal.proxy.services.conntrack import Flow, may_be_stale, stale
from panal.proxy.services.table import Endpoint, PortName, ServicePort

DNS = PortName("kube-system", "kube-dns", "dns", "UDP")
SERVICE, NODE = ("10.10.1.10", 53), ("192.168.0.101", 30053)
OLD, NEW = ("10.10.0.2", 53), ("10.10.0.3", 53)


def dns(*endpoints: tuple[str, int], name: PortName = DNS) -> ServicePort:
    return ServicePort(
        name, ("10.10.1.10",), 53, node_port=30053, endpoints=tuple(Endpoint(*endpoint) for endpoint in endpoints)
    )


def flow(destination: tuple[str, int], answers: tuple[str, int], protocol: str = "UDP") -> Flow:
    return Flow(protocol, destination, answers, b"")


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


def test_a_tcp_connection_goes_on_while_its_endpoint_exists_ready_or_not() -> None:
    web = dns(NEW, name=PortName("default", "web", "", "TCP"))
    flows = [flow(SERVICE, OLD, "TCP"), flow(SERVICE, NEW, "TCP"), flow(SERVICE, OLD)]
    assert list(stale(flows, [web], [web])) == flows[:1]
    leaving = replace(web, others=(Endpoint(*OLD),))
    assert list(stale(flows, [leaving], [web])) == []
    elsewhere = flow(("8.8.8.8", 30053), ("8.8.8.8", 30053), "TCP")
    assert list(stale([elsewhere], [web], [])) == []


def test_a_change_that_takes_no_endpoint_away_leaves_no_connection_behind() -> None:
    web = dns(OLD, name=PortName("default", "web", "", "TCP"))
    more = replace(web, endpoints=(Endpoint(*OLD), Endpoint(*NEW)))
    leaving = replace(web, endpoints=(Endpoint(*NEW),), others=(Endpoint(*OLD),))
    gone = replace(web, endpoints=(Endpoint(*NEW),))
    assert [may_be_stale(web, after) for after in (more, leaving, gone)] == [False, False, True]
    assert may_be_stale(web, replace(web, node_port=30054))
    assert may_be_stale(dns(), dns(NEW))
