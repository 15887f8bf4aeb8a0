"""MetalLB's pools and advertisements: whose an address may be, which is announced, and what is said otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from panal.addresses import localize
from panal.proxy.loadbalancer.allocate import Assignment, assign
from panal.proxy.loadbalancer.pools import Pool, pools_of

Object = dict[str, Any]
OWN = Pool.parse("192.168.0.11-192.168.0.13")


def pool(name: str, *addresses: str, labels: Object | None = None, **spec: Any) -> Object:
    metadata = {"namespace": "metallb-system", "name": name, "labels": labels or {}}
    return {"metadata": metadata, "spec": {"addresses": list(addresses), **spec}}


def advert(**spec: Any) -> Object:
    return {"metadata": {"namespace": "metallb-system", "name": "a"}, "spec": spec}


def service(
    name: str, *, age: int = 0, has: str = "", port: int = 80, labels: Object | None = None, **notes: str
) -> Object:
    annotations = {f"metallb.io/{key.replace('_', '-')}": value for key, value in notes.items()}
    ingress = [{"ip": has, "ipMode": "VIP"}] if has else []
    return {
        "metadata": {
            "namespace": "default", "name": name, "annotations": annotations, "labels": labels or {},
            "creationTimestamp": f"2026-01-01T00:00:{age:02}Z",
        },
        "spec": {"type": "LoadBalancer", "ports": [{"port": port, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": ingress}},
    }  # fmt: skip


def given(pools: list[Object], *services: Object) -> Assignment:
    found, complaints = pools_of(pools, [advert()], OWN, frozenset({"192.168.5.2"}))
    assert complaints == {}
    return assign(services, found)


def names(assignment: Assignment) -> dict[str, str]:
    return {name: address for (_, name), address in assignment.addresses.items()}


def test_the_clusters_own_pool_serves_until_there_is_another() -> None:
    assert names(given([], service("a"))) == {"a": "192.168.0.11"}
    assert names(given([pool("p", "192.168.5.1-192.168.5.9")], service("a", has="192.168.0.11"))) == {
        "a": "192.168.5.1"
    }


def test_networks_and_ranges_are_read_and_hosts_of_the_lan_left_out() -> None:
    pools = [pool("p", "192.168.5.0/30", "192.168.6.7-192.168.6.7", avoidBuggyIPs=True)]
    services = [service(name, age=age) for age, name in enumerate("abcd")]
    assignment = given(pools, *services)
    assert names(assignment) == {"a": "192.168.5.1", "b": "192.168.5.3", "c": "192.168.6.7"}
    assert assignment.problems == {("default", "d"): "no available IPs"}
    assert assignment.in_use(assignment.pools["default", "a"]) == 3


@pytest.mark.parametrize(
    ("notes", "outcome"),
    [
        ({"loadBalancerIPs": "192.168.5.9"}, "192.168.5.9"),
        ({"address_pool": "quiet"}, "192.168.7.1"),
        ({}, "192.168.5.1"),
        ({"loadBalancerIPs": "192.168.5.2"}, '"192.168.5.2" is not allowed in config'),
        ({"loadBalancerIPs": "10.0.0.1"}, '"10.0.0.1" is not allowed in config'),
        ({"loadBalancerIPs": "nonsense"}, 'invalid metallb.io/loadBalancerIPs: "nonsense"'),
        ({"address_pool": "absent"}, 'unknown pool "absent"'),
    ],
)
def test_what_a_service_asks_for_by_annotation(notes: dict[str, str], outcome: str) -> None:
    pools = [pool("p", "192.168.5.1-192.168.5.9"), pool("quiet", "192.168.7.1/32", autoAssign=False)]
    assignment = given(pools, service("a", **notes))
    assert [*assignment.addresses.values(), *assignment.problems.values()] == [outcome]


def test_an_old_prefix_counts_and_two_wishes_contradict_each_other() -> None:
    old = service("old")
    old["metadata"]["annotations"] = {"metallb.universe.tf/loadBalancerIPs": "192.168.0.13"}
    both = service("both", loadBalancerIPs="192.168.0.12")
    both["spec"]["loadBalancerIP"] = "192.168.0.12"
    assignment = given([], old, both)
    assert names(assignment) == {"old": "192.168.0.13"}
    why = "service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP"
    assert assignment.problems == {("default", "both"): why}


def test_an_address_is_shared_by_those_who_say_so_and_want_different_ports() -> None:
    wish = {"loadBalancerIPs": "192.168.0.12", "allow_shared_ip": "dns"}
    one, two = service("one", age=1, port=53, **wish), service("two", age=2, port=80, **wish)
    three = service("three", age=3, port=80, **wish)
    assignment = given([], one, two, three, service("four", age=4, allow_shared_ip="dns", port=443))
    assert names(assignment) == {"one": "192.168.0.12", "two": "192.168.0.12", "four": "192.168.0.12"}
    why = 'can\'t change sharing key for "default/three", address also in use by default/one,default/two'
    assert assignment.problems == {("default", "three"): why}


def test_pools_for_some_services_are_tried_first_by_their_priority() -> None:
    pools = [
        pool("all", "192.168.5.1-192.168.5.9"),
        pool("second", "192.168.6.1/32", serviceAllocation={"priority": 20, "namespaces": ["default"]}),
        pool(
            "first",
            "192.168.7.1/32",
            serviceAllocation={"priority": 10, "serviceSelectors": [{"matchLabels": {"a": "b"}}]},
        ),
    ]
    marked = [service(name, age=age, labels={"a": "b"}) for age, name in enumerate("xyz")]
    assert list(names(given(pools, *marked)).values()) == ["192.168.7.1", "192.168.6.1", "192.168.5.1"]
    assert names(given(pools, service("plain"))) == {"plain": "192.168.6.1"}


def test_what_is_announced_and_where() -> None:
    pools = [
        pool("a", "192.168.5.1/32"),
        pool("b", "192.168.6.1/32", labels={"zone": "b"}),
        pool("c", "192.168.7.1/32"),
    ]
    adverts = [
        advert(ipAddressPools=["a"]),
        advert(ipAddressPoolSelectors=[{"matchLabels": {"zone": "b"}}], nodeSelectors=[{"matchLabels": {"rack": "1"}}]),
    ]
    found, _ = pools_of(pools, adverts, OWN, frozenset())
    assert [(item.name, item.announced, len(item.nodes)) for item in found] == [
        ("a", True, 0),
        ("b", True, 1),
        ("c", False, 0),
    ]
    assert all(item.announced for item in pools_of(pools, [advert()], OWN, frozenset())[0])


def test_a_pool_that_cannot_be_followed_gives_nothing_and_is_named() -> None:
    for text in ("192.168.5.9-192.168.5.1", "nonsense", "192.168.5.0/40", "::1"):
        found, complaints = pools_of([pool("bad", text)], [], OWN, frozenset())
        assert found == []
        assert list(complaints) == [("metallb-system", "bad")]
    assert "after the last" in pools_of([pool("bad", "10.0.0.2-10.0.0.1")], [], OWN, frozenset())[1].popitem()[1]


def test_addresses_are_those_of_the_network() -> None:
    found, _ = pools_of([pool("p", "192.168.5.0/30")], [], OWN, frozenset(), localize)
    assert [str(item) for item in found[0].ranges] == ["127.168.5.0-127.168.5.3"]
    assert names(assign([service("a", loadBalancerIPs="192.168.5.2")], found, localize)) == {"a": "127.168.5.2"}  # type: ignore[arg-type]
