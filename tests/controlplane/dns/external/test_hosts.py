"""The company's names: fixed hosts, those of Ingresses and Services, and what nobody may claim."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.dns import wire
from panal.controlplane.dns.answer import answer
from panal.controlplane.dns.external.endpoints import Endpoint
from panal.controlplane.dns.external.hosts import CompanyZones, names_of_ingress, names_of_service
from panal.controlplane.dns.external.learn import Learner
from panal.informer import Applied, Deleted

Object = dict[str, Any]


def company() -> CompanyZones:
    zones = CompanyZones(["miempresa.com", "otra.org"], address="192.168.0.2", ttl=5, serial=1)
    zones.fixed(["menchupc=192.168.0.200", "nodo1=192.168.0.100", "www.otra.org=192.168.0.50"])
    return zones


def ask(zones: CompanyZones, name: str, qtype: int = wire.A) -> tuple[int, list[bytes]] | None:
    """The code and the data of the answers; None when it is forwarded."""
    reply = answer(wire.parse_query(wire.pack_query(1, wire.name(name), qtype)), zones.zones)
    return None if reply is None else (reply.rcode, [record.data for record in reply.answers])


def ingress(*hosts: str, ip: str | None = "192.168.0.10", **annotations: str) -> Object:
    status = {"loadBalancer": {"ingress": [{"ip": ip}]}} if ip else {}
    rules = [{"host": host} if host else {} for host in hosts]
    return {"metadata": {"name": "i", "annotations": annotations}, "spec": {"rules": rules}, "status": status}


def test_fixed_hosts_have_names_and_a_way_back() -> None:
    zones = company()
    assert ask(zones, "MenchuPC.miempresa.com") == (0, [bytes([192, 168, 0, 200])])
    assert ask(zones, "www.otra.org") == (0, [bytes([192, 168, 0, 50])])
    assert ask(zones, "200.0.168.192.in-addr.arpa", wire.PTR) == (0, [wire.name("menchupc.miempresa.com")])
    assert ask(zones, "miempresa.com", wire.NS) == (0, [wire.name("ns.miempresa.com")])
    assert ask(zones, "ns.miempresa.com") == (0, [bytes([192, 168, 0, 2])])
    assert ask(zones, "absent.miempresa.com") == (wire.NXDOMAIN, [])
    assert ask(zones, "menchupc.miempresa.com", wire.AAAA) == (0, [])
    assert ask(zones, "example.com") is None


def test_where_nothing_lies_beyond_the_lan_other_names_do_not_exist() -> None:
    zones = CompanyZones(["miempresa.com"], address="192.168.0.2", ttl=5, serial=1, isolated=True)
    zones.fixed(["menchupc=192.168.0.200"])
    assert ask(zones, "menchupc.miempresa.com") == (0, [bytes([192, 168, 0, 200])])
    assert ask(zones, "200.0.168.192.in-addr.arpa", wire.PTR) == (0, [wire.name("menchupc.miempresa.com")])
    for name in ("www.example.com", "nobody", "8.8.8.8.in-addr.arpa"):
        assert ask(zones, name) == (wire.NXDOMAIN, [])


@pytest.mark.parametrize("bad", ["menchupc", "menchupc=nodo1", "x.example.com=1.2.3.4", "..=1.2.3.4"])
def test_a_record_that_means_nothing_is_refused(bad: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        company().fixed([bad])


def test_an_ingress_brings_its_hosts_and_takes_them_away() -> None:
    zones = company()
    assert zones.put("i", names_of_ingress(ingress("web1.miempresa.com", "*.apps.miempresa.com", "")))
    assert ask(zones, "web1.miempresa.com") == (0, [bytes([192, 168, 0, 10])])
    assert ask(zones, "any.apps.miempresa.com") == (0, [bytes([192, 168, 0, 10])])
    assert not zones.put("i", names_of_ingress(ingress("web1.miempresa.com", "*.apps.miempresa.com", "")))
    assert zones.put("i", {})
    assert ask(zones, "web1.miempresa.com") == (wire.NXDOMAIN, [])


def test_an_ingress_without_an_address_yet_has_no_names() -> None:
    assert names_of_ingress(ingress("web1.miempresa.com", ip=None)) == {}


def test_nobody_outside_claims_other_domains_or_strange_names() -> None:
    zones = company()
    strange = {"google.com": ["10.0.0.1"], "a b.miempresa.com": ["10.0.0.1"], "-x.miempresa.com": ["10.0.0.1"]}
    assert not zones.put("evil", strange)


def test_a_service_of_type_load_balancer_brings_the_hosts_of_its_annotation() -> None:
    service = {
        "metadata": {
            "name": "db",
            "annotations": {"external-dns.alpha.kubernetes.io/hostname": "db.miempresa.com., DB2.miempresa.com"},
        },
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.168.0.11"}]}},
    }
    assert names_of_service(service) == {"db.miempresa.com": ["192.168.0.11"], "db2.miempresa.com": ["192.168.0.11"]}
    assert names_of_service({**service, "spec": {"type": "ClusterIP"}}) == {}
    assert names_of_service({**service, "status": {}}) == {}


def test_a_load_balancer_that_has_only_a_name_becomes_an_alias() -> None:
    zones = company()
    zones.put("i", {"web1.miempresa.com": ["lb.miempresa.com"], "lb.miempresa.com": ["192.168.0.10"]})
    assert ask(zones, "web1.miempresa.com") == (0, [wire.name("lb.miempresa.com"), bytes([192, 168, 0, 10])])


def test_two_objects_that_claim_one_host_are_both_heard() -> None:
    zones = company()
    zones.put("a", {"web1.miempresa.com": ["192.168.0.10"]})
    zones.put("b", {"web1.miempresa.com": ["192.168.0.11"]})
    zones.put("a", {})
    assert ask(zones, "web1.miempresa.com") == (0, [bytes([192, 168, 0, 11])])


def test_endpoints_of_every_type_and_the_word_of_their_owner() -> None:
    zones = company()
    endpoints = [
        Endpoint("a.miempresa.com", "A", ("10.0.0.1", "10.0.0.2"), 0, "crd/ns/n"),
        Endpoint("c.miempresa.com", "CNAME", ("a.miempresa.com",), 0, "crd/ns/n"),
        Endpoint("t.miempresa.com", "TXT", ("hello",), 0, "crd/ns/n"),
        Endpoint("google.com", "A", ("10.0.0.1",), 0, "crd/ns/n"),
    ]
    assert zones.put_endpoints("crd", endpoints, "panal")
    assert ask(zones, "a.miempresa.com") == (0, [bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])])
    assert ask(zones, "c.miempresa.com", wire.CNAME) == (0, [wire.name("a.miempresa.com")])
    assert ask(zones, "t.miempresa.com", wire.TXT) == (0, [wire.txt_data("hello")])
    told = "heritage=external-dns,external-dns/owner=panal,external-dns/resource=crd/ns/n"
    assert ask(zones, "cname-c.miempresa.com", wire.TXT) == (0, [wire.txt_data(told)])
    assert ask(zones, "google.com") is None
    assert zones.put_endpoints("crd", [], "panal")
    assert ask(zones, "a-a.miempresa.com", wire.TXT) == (wire.NXDOMAIN, [])


@pytest.mark.parametrize("upsert_only", [False, True])
async def test_by_policy_a_name_that_nobody_asks_for_any_more_goes_or_stays(upsert_only: bool) -> None:
    zones, changes = company(), []
    learner = Learner(None, zones, lambda: changes.append(1), upsert_only=upsert_only)  # type: ignore[arg-type]
    old, new = (ingress(host) for host in ("a.miempresa.com", "b.miempresa.com"))
    for item in (old, new):
        item["metadata"] = {"namespace": "n", "name": "i"}
    learner._learn("ingress", Applied(old, None))
    learner._learn("ingress", Applied(new, old))
    assert (ask(zones, "a.miempresa.com") == (0, [bytes([192, 168, 0, 10])])) is upsert_only
    learner._learn("ingress", Deleted(new))
    assert (ask(zones, "b.miempresa.com") == (0, [bytes([192, 168, 0, 10])])) is upsert_only
    assert len(changes) == (2 if upsert_only else 3)
