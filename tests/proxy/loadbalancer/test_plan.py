"""Who gets which address, which nodes take part, what is forwarded where: pure."""

from __future__ import annotations

from typing import Any

import pytest

from panal.proxy.forward.balance import Backends
from panal.proxy.forward.records import Frontend
from panal.proxy.loadbalancer.allocate import assign, is_ours
from panal.proxy.loadbalancer.plan import forwards, node_addresses
from panal.proxy.loadbalancer.pools import AddressPool, Pool

POOL = [AddressPool("default", (Pool.parse("192.168.0.11-192.168.0.13"),))]


def service(name: str, *, has: str | None = None, age: int = 0, **spec: Any) -> dict[str, Any]:
    status = {"loadBalancer": {"ingress": [{"ip": has, "ipMode": "VIP"}]}} if has else {"loadBalancer": {}}
    created = f"2026-01-01T00:00:{age:02}Z"
    return {
        "metadata": {"namespace": "default", "name": name, "creationTimestamp": created},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}], **spec},
        "status": status,
    }


def given(*services: dict[str, Any]) -> dict[str, str]:
    return {name: address for (_, name), address in assign(services, POOL).addresses.items()}


def test_older_services_choose_first_and_the_lowest_free_address_is_next() -> None:
    assert given(service("young", age=5), service("old", age=1)) == {"old": "192.168.0.11", "young": "192.168.0.12"}


def test_who_has_an_address_keeps_it_even_from_someone_older() -> None:
    assert given(service("old", age=1), service("young", age=9, has="192.168.0.11")) == {
        "old": "192.168.0.12",
        "young": "192.168.0.11",
    }
    assert given(service("moved", has="10.0.0.1")) == {"moved": "192.168.0.11"}


def test_a_wish_is_granted_when_the_address_is_in_the_pool_and_free() -> None:
    wish = service("wish", age=9, loadBalancerIP="192.168.0.11")
    assert given(service("old", age=1), wish) == {"old": "192.168.0.12", "wish": "192.168.0.11"}
    assert given(service("changed", has="192.168.0.11", loadBalancerIP="192.168.0.13")) == {"changed": "192.168.0.13"}
    plan = assign([service("has", has="192.168.0.11"), wish, service("far", loadBalancerIP="8.8.8.8")], POOL)
    assert {name: problem for (_, name), problem in plan.problems.items()} == {
        "wish": 'can\'t change sharing key for "default/wish", address also in use by default/has',
        "far": '"8.8.8.8" is not allowed in config',
    }


def test_two_that_have_one_address_are_parted() -> None:
    twins = service("a", age=1, has="192.168.0.11"), service("b", age=2, has="192.168.0.11")
    assert given(*twins) == {"a": "192.168.0.11", "b": "192.168.0.12"}


def test_an_exhausted_pool_is_said_to_be() -> None:
    plan = assign([service(f"s{age}", age=age) for age in range(4)], POOL)
    assert plan.problems == {("default", "s3"): "no available IPs"}


def test_other_types_foreign_classes_and_services_on_their_way_out_are_not_ours() -> None:
    ending = service("ending")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert is_ours(service("plain"))
    assert is_ours(service("named", loadBalancerClass="panal.dev/load-balancer"))
    others = [service("foreign", loadBalancerClass="example.com/lb"), service("node-port", type="NodePort"), ending]
    assert not any(is_ours(item) for item in others)


def node(name: str, address: str, ready: str = "True", **labels: str) -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    status = {"addresses": addresses, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def test_ready_nodes_take_part_unless_they_are_excluded() -> None:
    excluded = node("c", "192.168.0.103")
    excluded["metadata"]["labels"] = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    nodes = [node("b", "192.168.0.102"), node("a", "192.168.0.101"), node("d", "192.168.0.104", "Unknown"), excluded]
    assert node_addresses([*nodes, {"metadata": {"name": "new"}}]) == ("192.168.0.101", "192.168.0.102")


def test_healthy_nodes_get_the_connections_and_all_of_them_when_none_is() -> None:
    nodes = ("192.168.0.101", "192.168.0.102")
    both = (("192.168.0.101", 30880), ("192.168.0.102", 30880))
    lan, edge = Frontend("TCP", "192.168.0.10", 10080), Frontend("TCP", "", 80, "http")

    def table(*up: str) -> dict[Frontend, Backends]:
        shift = 10000
        return forwards(
            "192.168.0.10", {80: 30880}, [], nodes, lambda target: target[0] in up, lambda port: port + shift, "http"
        )

    assert table(*nodes) == {lan: Backends(both), edge: Backends(both)}
    assert table("192.168.0.102") == {lan: Backends(both[1:]), edge: Backends(both[1:])}
    assert table() == {lan: Backends(both), edge: Backends(both)}


def test_a_services_ports_go_to_its_node_ports() -> None:
    ports = [
        {"port": 80, "nodePort": 30080, "protocol": "TCP"},
        {"port": 53, "nodePort": 30053, "protocol": "UDP"},
        {"port": 81, "protocol": "TCP"},
    ]
    spec = {"ports": ports, "loadBalancerSourceRanges": ["10.0.0.0/8"], "sessionAffinity": "ClientIP"}
    table = forwards(
        "192.168.0.10",
        {},
        [("192.168.0.11", service("a", **spec), ("192.168.0.101",))],
        (),
        lambda _: True,
        lambda p: p,
    )
    assert table == {
        Frontend("TCP", "192.168.0.11", 80): Backends((("192.168.0.101", 30080),), 10800, ("10.0.0.0/8",)),
        Frontend("UDP", "192.168.0.11", 53): Backends((("192.168.0.101", 30053),), 10800, ("10.0.0.0/8",)),
    }


@pytest.mark.parametrize("text", ["192.168.0.9-192.168.0.1", "a-b", "192.168.0.1-", "fd00::1"])
def test_a_pool_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Pool.parse(text)
