"""The cluster's zone follows its objects one at a time, and knows when an answer changed."""

from __future__ import annotations

from panal.controlplane.dns.zones import ClusterZones

from .conftest import HTTP, MYSQL, ask, endpoint, endpoint_slice, lines, populate, service


def addresses(zones: ClusterZones, name: str) -> list[str]:
    said = ask(zones.zones, f"{name}.default.svc.cluster.local")
    assert said is not None
    return [line.split()[-1] for line in lines(said.answer)]


def test_an_endpoint_that_becomes_ready_is_answered_at_once(cluster: ClusterZones) -> None:
    ready = endpoint_slice("empty-1", "empty", [endpoint("10.10.0.99")], [MYSQL])
    assert cluster.endpoint_slice(("default", "empty-1"), ready)
    assert addresses(cluster, "empty") == ["10.10.0.99"]


def test_a_service_without_its_slices_waits_for_them_and_the_other_way_round() -> None:
    zones = ClusterZones("cluster.local", ttl=30, serial=1)
    pods = endpoint_slice("a-1", "a", [endpoint("10.10.0.4")], [HTTP])
    assert not zones.endpoint_slice(("default", "a-1"), pods)
    assert zones.service(("default", "a"), service("a", clusterIP="None", ports=[HTTP]))
    assert addresses(zones, "a") == ["10.10.0.4"]


def test_a_slice_that_changes_its_service_leaves_the_old_one(cluster: ClusterZones) -> None:
    old = endpoint_slice("db-2", "db", [endpoint("10.10.0.9", hostname="db-2")], [MYSQL])
    new = endpoint_slice("db-2", "empty", [endpoint("10.10.0.9", hostname="db-2")], [MYSQL])
    assert cluster.endpoint_slice(("default", "db-2"), new, old)
    assert addresses(cluster, "db") == ["10.10.0.7", "10.10.0.8"]
    assert addresses(cluster, "empty") == ["10.10.0.9"]


def test_what_is_deleted_leaves_nothing_behind(cluster: ClusterZones) -> None:
    fresh = ClusterZones("cluster.local", ttl=30, serial=7, address="10.10.1.10")
    for key in [*cluster._services]:
        cluster.service(key, None)
    for slices in [dict(found) for found in cluster._slices.values()]:
        for name, obj in slices.items():
            cluster.endpoint_slice(("default", name), None, obj)
    assert list(cluster.forward.records()) == list(fresh.forward.records())
    assert [list(zone.records()) for zone in cluster.reverse] == [[], []]
    assert cluster.forward._below == fresh.forward._below
    assert not cluster._slices


def test_the_same_again_changes_nothing_and_a_change_raises_the_serial(cluster: ClusterZones) -> None:
    before = cluster.forward.serial
    same = service("web", clusterIP="10.10.1.102", ports=[HTTP, {"name": "metrics", "port": 9090, "protocol": "TCP"}])
    assert not cluster.service(("default", "web"), same)
    assert cluster.forward.serial == before
    assert cluster.service(("default", "web"), service("web", clusterIP="10.10.1.103", ports=[HTTP]))
    assert cluster.forward.serial == before + 1
    assert addresses(cluster, "web") == ["10.10.1.103"]


def test_two_services_behind_one_address_both_stay_in_the_reverse_zone() -> None:
    zones = ClusterZones("cluster.local", ttl=30, serial=1)
    populate(zones)
    zones.service(("default", "twin"), service("twin", clusterIP="None", ports=[HTTP]))
    zones.endpoint_slice(("default", "twin-1"), endpoint_slice("twin-1", "twin", [endpoint("10.10.0.5")], [HTTP]))
    said = ask(zones.zones, "5.0.10.10.in-addr.arpa", "PTR")
    assert said is not None
    assert [line.split()[-1] for line in lines(said.answer)] == [
        "10-10-0-5.twin.default.svc.cluster.local.",
        "10-10-0-5.web.default.svc.cluster.local.",
    ]
    zones.service(("default", "twin"), None)
    said = ask(zones.zones, "5.0.10.10.in-addr.arpa", "PTR")
    assert said is not None
    assert len(said.answer[0]) == 1
