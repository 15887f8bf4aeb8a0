"""What is written into a zone that others write into too."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.dns.external.endpoints import Endpoint, of_dns_endpoint, of_ingress, of_route, of_service
from panal.controlplane.dns.external.ownership import owner_of, txt_value
from panal.controlplane.dns.publisher.changes import Changes, Current, changes

WEB = Endpoint("web.a.org", "A", ("10.0.0.1",), 0, "ingress/default/web")


def plan(desired: list[Endpoint], current: dict[tuple[str, str], tuple[tuple[str, ...], int]], **how: Any) -> Changes:
    return changes(desired, Current(current), **{"owner": "me", "policy": "sync", "ttl": 300, **how})


def written(*endpoints: Endpoint, owner: str = "me") -> dict[tuple[str, str], tuple[tuple[str, ...], int]]:
    """A zone after `endpoints` were put into it."""
    return {
        (item.name, item.type): (item.targets, item.ttl) for item in plan(list(endpoints), {}, owner=owner).put
    }  # fmt: skip


def test_a_new_name_comes_with_the_word_of_its_owner() -> None:
    found = plan([WEB], {})
    text = "heritage=external-dns,external-dns/owner=me,external-dns/resource=ingress/default/web"
    assert [(item.name, item.type, item.targets, item.ttl) for item in found.put] == [
        ("web.a.org", "A", ("10.0.0.1",), 300),
        ("a-web.a.org", "TXT", (text,), 300),
    ]
    assert not plan([WEB], written(WEB))
    assert [item.name for item in plan([WEB], {}, prefix="own-").put] == ["web.a.org", "own-a-web.a.org"]


def test_what_has_changed_is_put_anew_unless_the_policy_is_to_create_only() -> None:
    before = written(WEB)
    moved = Endpoint("web.a.org", "A", ("10.0.0.2",), 60, "ingress/default/web")
    assert [item.targets[0] for item in plan([moved], before).put][:1] == ["10.0.0.2"]
    assert plan([moved], before, policy="upsert-only").put
    assert not plan([moved], before, policy="create-only")


def test_what_nobody_asks_for_any_more_goes_only_by_sync_and_only_if_it_is_ours() -> None:
    zone = written(WEB) | written(Endpoint("other.a.org", "A", ("10.0.0.9",)), owner="you")
    zone |= {("www.a.org", "A"): (("10.0.0.8",), 300)}
    gone = plan([], zone).delete
    assert [(item.name, item.type) for item in gone] == [("web.a.org", "A"), ("a-web.a.org", "TXT")]
    assert not plan([], zone, policy="upsert-only")


@pytest.mark.parametrize("kind", ["A", "CNAME"])
def test_what_somebody_else_has_is_never_changed(kind: str) -> None:
    target = "10.0.0.1" if kind == "A" else "lb.a.org"
    wanted = Endpoint("www.a.org", kind, (target,))
    by_hand = plan([wanted], {("www.a.org", "A"): (("10.0.0.8",), 300)})
    assert (bool(by_hand), by_hand.conflicts) == (False, ["www.a.org A is not ours: its owner is not told"])
    theirs = plan([wanted], written(Endpoint("www.a.org", "A", ("10.0.0.8",)), owner="you"))
    assert (bool(theirs), theirs.conflicts) == (False, ["www.a.org A is not ours: its owner is you"])


def test_objects_with_one_name_share_it() -> None:
    more = Endpoint("web.a.org", "A", ("10.0.0.2",), 0, "service/default/web")
    alias = Endpoint("web.a.org", "CNAME", ("lb.a.org",), 0, "route/default/web")
    (put, _) = plan([more, alias, WEB], {}).put
    assert put.targets == ("10.0.0.1", "10.0.0.2")
    assert put.resource == "ingress/default/web"


def obj(spec: Any, status: Any = None, **annotations: str) -> dict[str, Any]:
    notes = {f"external-dns.alpha.kubernetes.io/{key}": value for key, value in annotations.items()}
    return {"metadata": {"namespace": "ns", "name": "n", "annotations": notes}, "spec": spec, "status": status or {}}


BALANCED = {"loadBalancer": {"ingress": [{"ip": "192.168.0.11"}]}}


def test_where_endpoints_come_from() -> None:
    assert of_ingress(obj({"rules": [{"host": "Web.a.org"}]}, BALANCED, ttl="60")) == [
        Endpoint("web.a.org", "A", ("192.168.0.11",), 60, "ingress/ns/n")
    ]
    service = obj({"type": "LoadBalancer"}, BALANCED, hostname="one.a.org, two.a.org.")
    assert [item.name for item in of_service(service)] == ["one.a.org", "two.a.org"]
    assert of_service(obj({"type": "LoadBalancer"}, BALANCED)) == []
    admitted = {"conditions": [{"type": "Admitted", "status": "True"}], "host": "r.a.org"}
    status = {"ingress": [{**admitted, "routerCanonicalHostname": "router.a.org"}]}
    assert of_route(obj({}, status)) == [Endpoint("r.a.org", "CNAME", ("router.a.org",), 0, "route/ns/n")]
    assert of_route(obj({}, status, target="10.0.0.7")) == [Endpoint("r.a.org", "A", ("10.0.0.7",), 0, "route/ns/n")]
    refused = {"ingress": [{**admitted, "conditions": [{"type": "Admitted", "status": "False"}]}]}
    assert of_route(obj({}, refused)) == []


def test_dnsendpoints_are_taken_as_far_as_they_make_sense() -> None:
    listed = [
        {"dnsName": "a.a.org", "recordType": "A", "targets": ["10.0.0.2", "10.0.0.1"], "recordTTL": 180},
        {"dnsName": "t.a.org", "recordType": "TXT", "targets": ['say "hi"']},
        {"dnsName": "bad.a.org", "recordType": "A", "targets": ["nonsense"]},
        {"dnsName": "b d.a.org", "recordType": "A", "targets": ["10.0.0.1"]},
        {"dnsName": "mx.a.org", "recordType": "MX", "targets": ["10 a.org"]},
    ]
    assert of_dns_endpoint(obj({"endpoints": listed})) == [
        Endpoint("a.a.org", "A", ("10.0.0.1", "10.0.0.2"), 180, "crd/ns/n"),
        Endpoint("t.a.org", "TXT", ('say "hi"',), 0, "crd/ns/n"),
    ]


def test_only_heritage_records_tell_owners() -> None:
    assert owner_of('"' + txt_value("me", "ingress/a/b") + '"') == "me"
    assert owner_of("v=spf1 external-dns/owner=me") is None
