from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.mirroring import decide

Object = dict[str, Any]


def endpoints(*addresses: str, waiting: tuple[str, ...] = (), **labels: str) -> Object:
    subset = {
        "addresses": [{"ip": item} for item in addresses],
        "notReadyAddresses": [{"ip": item} for item in waiting],
        "ports": [{"port": 3306}],
    }
    return {"metadata": {"name": "db", "namespace": "shop", "uid": "e", "labels": labels}, "subsets": [subset]}


def service(**spec: Any) -> Object:
    return {"metadata": {"name": "db", "namespace": "shop"}, "spec": spec}


def stored(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "name": "db-1", "uid": "s"}}


def test_only_hand_kept_endpoints_of_a_service_without_selector_are_mirrored() -> None:
    assert decide.is_mirrored(endpoints(), service())
    assert not decide.is_mirrored(endpoints(), service(selector={"app": "db"}))
    assert not decide.is_mirrored(endpoints(), None)
    assert not decide.is_mirrored(endpoints(**{decide.SKIP: "true"}), service())


def test_the_slice_says_what_the_endpoints_say() -> None:
    (made,) = decide.plan(endpoints("192.168.0.7", waiting=("192.168.0.8",)), []).create
    assert made["addressType"] == "IPv4"
    assert made["ports"] == [{"protocol": "TCP", "name": "", "port": 3306}]
    assert made["endpoints"] == [
        {"addresses": ["192.168.0.7"], "conditions": {"ready": True}},
        {"addresses": ["192.168.0.8"], "conditions": {"ready": False}},
    ]
    assert made["metadata"]["labels"] == {
        "kubernetes.io/service-name": "db",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }


def test_a_change_updates_the_slice_and_no_change_writes_nothing() -> None:
    before = stored(decide.plan(endpoints("192.168.0.7"), []).create[0])
    assert decide.plan(endpoints("192.168.0.7"), [before]) == decide.Plan()
    after = decide.plan(endpoints("192.168.0.9"), [before])
    assert [item["metadata"]["name"] for item in after.update] == ["db-1"]
    assert decide.plan(None, [before]).delete == (before,)
