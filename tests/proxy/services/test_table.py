"""Services and EndpointSlices become a table: which endpoints count, what is left out, what is shared."""

from __future__ import annotations

import itertools
from typing import Any

from panal.proxy.services.table import (
    Endpoint,
    PortName,
    ServiceTable,
    TableBuilder,
    between,
    build,
    changes,
)

NODE, NODE_IPS = "nodoa", ("192.168.0.101",)


def service(name: str = "wp-service", **spec: Any) -> dict[str, Any]:
    defaults = {"type": "ClusterIP", "clusterIP": "10.10.1.102", "ports": [{"port": 8080, "protocol": "TCP"}]}
    return {"metadata": {"namespace": "default", "name": name}, "spec": {**defaults, **spec}}


def endpoint(ip: str, node: str = "nodob", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions}


def endpoint_slice(*endpoints: dict[str, Any], service: str = "wp-service", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "default",
            "name": f"{service}-abcde",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
        "endpoints": list(endpoints),
        **more,
    }


def only(table: ServiceTable) -> Any:
    (port,) = table
    return port


def test_ready_endpoints_sorted_by_address_and_marked_when_local() -> None:
    slices = [endpoint_slice(endpoint("10.10.0.70"), endpoint("10.10.0.5", NODE), endpoint("10.10.0.9", ready=False))]
    port = only(build(NODE, NODE_IPS, [service()], slices))
    assert port.name == PortName("default", "wp-service", "", "TCP")
    assert port.cluster_ips == ("10.10.1.102",)
    assert port.endpoints == (Endpoint("10.10.0.5", 80, True), Endpoint("10.10.0.70", 80))
    assert port.local_endpoints == (Endpoint("10.10.0.5", 80, True),)
    assert port.others == (Endpoint("10.10.0.9", 80),)


def test_terminating_endpoints_that_still_serve_are_the_last_resort() -> None:
    ending = endpoint("10.10.0.5", ready=False, serving=True, terminating=True)
    gone = endpoint("10.10.0.6", ready=False, serving=False, terminating=True)
    ready = endpoint("10.10.0.7", ready=True, serving=True, terminating=False)
    assert only(build(NODE, (), [service()], [endpoint_slice(ending, gone)])).endpoints == (Endpoint("10.10.0.5", 80),)
    assert only(build(NODE, (), [service()], [endpoint_slice(ending, ready)])).endpoints == (Endpoint("10.10.0.7", 80),)


def test_ports_are_matched_by_name_and_protocol() -> None:
    dns = service(ports=[{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}])
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 5353, "protocol": "TCP"}]
    table = build(NODE, (), [dns], [endpoint_slice(endpoint("10.10.0.2"), ports=ports)])
    assert {(port.name.port, port.protocol): port.endpoints[0].port for port in table} == {
        ("dns", "UDP"): 53,
        ("dns-tcp", "TCP"): 5353,
    }


def test_headless_external_and_foreign_services_are_left_out() -> None:
    foreign = service("foreign")
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "mine"}
    left_out = [service("headless", clusterIP="None"), service("name", type="ExternalName", clusterIP=""), foreign]
    assert list(build(NODE, (), [*left_out, service("pending", clusterIP="")], [])) == []


def test_what_is_no_ipv4_address_never_gets_in() -> None:
    odd = service(clusterIP="10.0.0.1; flush ruleset", externalIPs=["fd00::1", "1.2.3.4 }", "1.2.3.4"])
    assert list(build(NODE, (), [odd], [])) == []
    port = only(build(NODE, (), [service(externalIPs=["1.2.3.4 }", "1.2.3.4"])], [endpoint_slice(endpoint("x; y"))]))
    assert port.external_ips == ("1.2.3.4",)
    assert port.endpoints == ()


def test_node_ports_and_load_balancer_addresses_belong_to_their_types() -> None:
    balanced = service(
        type="LoadBalancer",
        ports=[{"port": 80, "nodePort": 30080}],
        externalTrafficPolicy="Local",
        healthCheckNodePort=31000,
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
        internalTrafficPolicy="Local",
        loadBalancerSourceRanges=["10.0.0.0/8", "nonsense"],
    )
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "192.168.0.11"}, {"ip": "9.9.9.9", "ipMode": "Proxy"}]}}
    port = only(build(NODE, (), [balanced], []))
    assert (port.node_port, port.load_balancer_ips, port.health_check_port) == (30080, ("192.168.0.11",), 31000)
    assert (port.external_local, port.internal_local, port.affinity_seconds) == (True, True, 60)
    assert port.source_ranges == ("10.0.0.0/8",)
    plain = {**balanced, "spec": {**balanced["spec"], "type": "ClusterIP"}}
    port = only(build(NODE, (), [plain], []))
    assert (port.node_port, port.load_balancer_ips, port.external_local) == (0, (), False)


def test_a_change_of_one_service_leaves_the_others_the_same_objects() -> None:
    builder = TableBuilder(NODE, NODE_IPS)
    for number in range(3):
        builder.apply_service(service(f"s{number}", clusterIP=f"10.10.1.{number + 1}"))
    before = builder.table()
    assert builder.table() is before
    builder.apply_slice(endpoint_slice(endpoint("10.10.0.5"), service="s1"))
    after = builder.table()
    names = [PortName("default", f"s{number}", "", "TCP") for number in range(3)]
    assert [after.ports[name] is before.ports[name] for name in names] == [True, False, True]
    assert changes(before, after).applied == (after.ports[names[1]],)
    builder.apply_slice(endpoint_slice(endpoint("10.10.0.5"), service="s1", generation=2))
    assert builder.table() is after
    builder.delete_service(service("s2"))
    last = builder.table()
    assert changes(after, last).removed == (before.ports[names[2]],)
    assert not changes(after, last).applied


def test_a_long_step_is_made_of_short_ones_that_lead_to_the_same() -> None:
    def of(*numbers: int) -> ServiceTable:
        services = [service(f"s{number}", clusterIP=f"10.10.1.{number + 1}") for number in numbers]
        return build(NODE, NODE_IPS, services, [])

    old, new = of(*range(5)), of(*range(3, 12))
    steps = [old, *between(old, new, 4)]
    assert steps[-1] is new
    sizes = [len((found := changes(a, b)).removed) + len(found.applied) for a, b in itertools.pairwise(steps)]
    assert sizes == [4, 4, 2]
    kept = PortName("default", "s4", "", "TCP")
    assert all(kept in table.ports for table in steps)


def test_slices_may_come_before_their_service_and_outlive_it() -> None:
    builder = TableBuilder(NODE)
    first = endpoint_slice(endpoint("10.10.0.5"))
    second = {**endpoint_slice(endpoint("10.10.0.6"))}
    second["metadata"] = {**second["metadata"], "name": "wp-service-fghij"}
    builder.apply_slice(first)
    builder.apply_slice(second)
    assert list(builder.table()) == []
    builder.apply_service(service())
    assert [item.ip for item in only(builder.table()).endpoints] == ["10.10.0.5", "10.10.0.6"]
    builder.delete_slice(first)
    assert [item.ip for item in only(builder.table()).endpoints] == ["10.10.0.6"]
    builder.delete_service(service())
    assert list(builder.table()) == []
    builder.apply_service(service())
    assert [item.ip for item in only(builder.table()).endpoints] == ["10.10.0.6"]
