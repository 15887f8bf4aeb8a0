"""A small cluster as DNS data, and a client that asks as `dig` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import dns.message
import dns.rdatatype
import pytest
import uvloop

from panal.controlplane.dns import wire
from panal.controlplane.dns.answer import answer, refuse
from panal.controlplane.dns.zone import Zones
from panal.controlplane.dns.zones import ClusterZones

Object = dict[str, Any]


def service(name: str, namespace: str = "default", **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def endpoint_slice(name: str, owner: str, endpoints: list[Object], ports: list[Object], **other: Any) -> Object:
    namespace = other.pop("namespace", "default")
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": owner}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
        **other,
    }


def endpoint(address: str, *, ready: bool | None = True, hostname: str | None = None) -> Object:
    found: Object = {"addresses": [address], "conditions": {"ready": ready} if ready is not None else {}}
    return {**found, "hostname": hostname} if hostname else found


HTTP = {"name": "http", "port": 80, "protocol": "TCP"}
MYSQL = {"name": "mysql", "port": 3306, "protocol": "TCP"}


def populate(zones: ClusterZones) -> None:
    for obj in (
        service("kubernetes", clusterIP="10.10.1.1", ports=[{"name": "https", "port": 443, "protocol": "TCP"}]),
        service("web", clusterIP="10.10.1.102", ports=[HTTP, {"name": "metrics", "port": 9090, "protocol": "TCP"}]),
        service("plain", clusterIP="10.10.1.110", ports=[{"port": 8080}]),
        service("dual", clusterIP="10.10.1.120", clusterIPs=["10.10.1.120", "fd00::1:20"], ports=[HTTP]),
        service("db", clusterIP="None", ports=[MYSQL]),
        service("empty", clusterIP="None", ports=[MYSQL]),
        service("portless", clusterIP="None"),
        service("outside", type="ExternalName", externalName="db.example.org"),
        service("alias", type="ExternalName", externalName="web.default.svc.cluster.local"),
        service("numeric", type="ExternalName", externalName="1.2.3.4"),
        service("loop-a", type="ExternalName", externalName="loop-b.default.svc.cluster.local"),
        service("loop-b", type="ExternalName", externalName="loop-a.default.svc.cluster.local"),
        service("pending", ports=[HTTP]),
    ):
        zones.service((obj["metadata"]["namespace"], obj["metadata"]["name"]), obj)
    for obj in (
        endpoint_slice("web-1", "web", [endpoint("10.10.0.5"), endpoint("10.10.0.6", ready=False)], [HTTP]),
        endpoint_slice(
            "db-1", "db", [endpoint("10.10.0.7", hostname="db-0"), endpoint("10.10.0.8", ready=None)], [MYSQL]
        ),
        endpoint_slice("db-2", "db", [endpoint("10.10.0.9", hostname="db-2")], [MYSQL]),
        endpoint_slice("empty-1", "empty", [endpoint("10.10.0.99", ready=False)], [MYSQL]),
        endpoint_slice("portless-1", "portless", [endpoint("10.10.0.11")], []),
    ):
        zones.endpoint_slice((obj["metadata"]["namespace"], obj["metadata"]["name"]), obj)


@pytest.fixture
def cluster() -> ClusterZones:
    zones = ClusterZones("cluster.local", ttl=30, serial=7, address="10.10.1.10")
    populate(zones)
    return zones


def ask(zones: Zones, name: str, qtype: str = "A", limit: int = 65535, **how: Any) -> dns.message.Message | None:
    """What the pure core says, read by dnspython; None when the question would be forwarded."""
    sent = dns.message.make_query(name, qtype, **how)
    query = wire.parse_query(sent.to_wire())
    reply = refuse(query) or answer(query, zones)
    if reply is None:
        return None
    received = dns.message.from_wire(wire.pack(query, reply, limit))
    assert sent.is_response(received)
    return received


def lines(section: list[Any]) -> list[str]:
    return sorted(
        f"{rrset.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}"
        for rrset in section
        for rdata in rrset
    )


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    """Both loops for the sockets: the components run on uvloop, whose transports differ in details."""
    if item.path.name != "test_server.py":
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
