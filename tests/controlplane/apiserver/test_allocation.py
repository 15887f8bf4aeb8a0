"""ClusterIPs and node ports: bands, what is taken, and ranges that are full."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import allocation
from panal.controlplane.apiserver.allocation import InUse, Ranges, allocate
from panal.errors import StatusError

RANGES = Ranges(ipaddress.IPv4Network("10.10.1.0/24"), (30000, 32767))
SMALL = Ranges(ipaddress.IPv4Network("10.10.1.0/29"), (30000, 30001))
FREE = InUse((), ())
RNG = random.Random(1)


def complaints(spec: dict[str, Any], used: InUse = FREE, ranges: Ranges = RANGES, old: Any = None) -> list[str]:
    return [str(error) for error in allocate(spec, old, used, ranges, RNG)]


@given(st.integers())
def test_an_address_nobody_chose_comes_from_the_upper_band(seed: int) -> None:
    spec: dict[str, Any] = {"type": "ClusterIP"}
    assert allocate(spec, None, FREE, RANGES, random.Random(seed)) == []
    assert ipaddress.IPv4Address("10.10.1.17") <= ipaddress.IPv4Address(spec["clusterIP"])
    assert ipaddress.IPv4Address(spec["clusterIP"]) <= ipaddress.IPv4Address("10.10.1.254")
    assert spec["clusterIPs"] == [spec["clusterIP"]]


def test_when_the_upper_band_is_full_the_lower_one_is_used_and_then_it_is_said() -> None:
    taken: set[str] = set()
    for _ in range(6):
        spec: dict[str, Any] = {"type": "ClusterIP"}
        assert complaints(spec, InUse(taken, ()), SMALL) == []
        assert spec["clusterIP"] not in taken
        taken.add(spec["clusterIP"])
    assert taken == {f"10.10.1.{last}" for last in range(1, 7)}
    words = "spec.clusterIPs: Internal error: failed to allocate a serviceIP: range is full"
    assert complaints({"type": "ClusterIP"}, InUse(taken, ()), SMALL) == [words]


def test_a_chosen_address_is_had_unless_it_is_taken_or_outside() -> None:
    spec: dict[str, Any] = {"type": "ClusterIP", "clusterIP": "10.10.1.101"}
    assert complaints(spec) == []
    assert spec["clusterIPs"] == ["10.10.1.101"]
    start = 'spec.clusterIPs: Invalid value: ["10.10.1.101"]: failed to allocate IP 10.10.1.101: '
    assert complaints(dict(spec), InUse({"10.10.1.101"}, ())) == [start + "provided IP is already allocated"]
    (outside,) = complaints({"type": "ClusterIP", "clusterIP": "1.2.3.4"})
    assert outside.endswith(
        "the provided IP (1.2.3.4) is not in the valid range. The range of valid IPs is 10.10.1.0/24"
    )
    for edge in ("10.10.1.0", "10.10.1.255"):
        assert len(complaints({"type": "ClusterIP", "clusterIP": edge})) == 1


@pytest.mark.parametrize("spec", [{"type": "ExternalName"}, {"type": "ClusterIP", "clusterIP": "None"}])
def test_who_needs_no_address_gets_none(spec: dict[str, Any]) -> None:
    before = dict(spec)
    assert complaints(spec) == []
    assert spec == before


def test_an_update_keeps_the_address_it_has() -> None:
    spec: dict[str, Any] = {"type": "ClusterIP", "clusterIP": "10.10.1.101"}
    assert complaints(spec, InUse({"10.10.1.101"}, ()), old=dict(spec)) == []


@given(st.integers())
def test_node_ports_are_in_the_range_and_differ(seed: int) -> None:
    spec: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80}, {"port": 81}, {"port": 82}]}
    assert allocate(spec, None, FREE, RANGES, random.Random(seed)) == []
    ports = [port["nodePort"] for port in spec["ports"]]
    assert len(set(ports)) == 3
    assert all(30086 <= port <= 32767 for port in ports)


def test_one_port_of_two_protocols_has_one_number() -> None:
    spec: dict[str, Any] = {
        "type": "NodePort",
        "ports": [{"port": 53, "protocol": "UDP", "nodePort": 30053}, {"port": 53, "protocol": "TCP"}],
    }
    assert complaints(spec) == []
    assert spec["ports"][1]["nodePort"] == 30053


def test_node_ports_that_are_taken_outside_or_used_up_are_said() -> None:
    def with_port(**port: Any) -> dict[str, Any]:
        return {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", **port}]}

    field = "spec.ports[0].nodePort"
    assert complaints(with_port(nodePort=30880), InUse((), {("TCP", 30880)})) == [
        f"{field}: Invalid value: 30880: provided port is already allocated"
    ]
    assert complaints(with_port(nodePort=30880), InUse((), {("UDP", 30880)})) == []
    assert complaints(with_port(nodePort=80)) == [
        f"{field}: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
    ]
    assert complaints(with_port(), InUse((), {("TCP", 30000), ("TCP", 30001)}), SMALL) == [
        f"{field}: Internal error: failed to allocate a nodePort: range is full"
    ]


def test_a_load_balancer_that_wants_no_node_ports_gets_none() -> None:
    spec: dict[str, Any] = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}
    assert complaints(spec) == []
    assert "nodePort" not in spec["ports"][0]


def balancer(**fields: Any) -> dict[str, Any]:
    return {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}], **fields}


def test_a_local_load_balancer_has_a_port_where_its_health_is_asked() -> None:
    spec = balancer()
    assert complaints(spec) == []
    assert spec["healthCheckNodePort"] not in (None, spec["ports"][0]["nodePort"])
    with pytest.raises(StatusError) as caught:
        complaints(balancer(healthCheckNodePort=31000), InUse((), {("TCP", 31000)}))
    assert (caught.value.code, caught.value.message) == (
        500,
        "Internal error occurred: failed to allocate requested HealthCheck NodePort 31000: "
        "provided port is already allocated",
    )


def test_what_others_hold_is_read_from_them() -> None:
    services = [
        {"metadata": {"namespace": "a", "name": "x"},
         "spec": {"clusterIPs": ["10.10.1.9"], "healthCheckNodePort": 31000,
         "ports": [{"port": 1, "nodePort": 30001, "protocol": "UDP"}, {"port": 2}]}},
        {"metadata": {"namespace": "a", "name": "headless"}, "spec": {"clusterIP": "None"}},
        {"metadata": {"namespace": "a", "name": "me"}, "spec": {"clusterIP": "10.10.1.10"}},
    ]  # fmt: skip
    used = allocation.in_use(services, ("a", "me"))
    assert used == InUse({"10.10.1.9"}, {("UDP", 30001), ("TCP", 31000)})


def test_a_dry_run_shows_what_is_given_to_nobody() -> None:
    spec = balancer()
    assert allocation.dry_run(spec, None, RANGES) == []
    assert (spec["clusterIP"], spec["ports"][0]["nodePort"], spec["healthCheckNodePort"]) == ("10.10.1.0", 32769, 32770)
    assert len(allocation.dry_run({"type": "ClusterIP", "clusterIP": "1.2.3.4"}, None, RANGES)) == 1
