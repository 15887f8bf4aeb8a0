"""Plugins that fill in one thing each: the taint of new nodes, tolerations, the default ingress class, loopback."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver import admission
from panal.controlplane.apiserver.admission import ingressclass, loopback, nodetaint, storageclass, tolerations
from panal.resources import INGRESSCLASSES, INGRESSES, NODES, PERSISTENTVOLUMECLAIMS, PODS, SERVICES, resource

from .conftest import Object, Stored, asking, pod


def test_a_new_node_is_tainted_until_somebody_saw_it_ready() -> None:
    node: Object = {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}
    nodetaint.admit(asking(NODES, node), Stored())
    nodetaint.admit(asking(NODES, node), Stored())
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["gpu", "node.kubernetes.io/not-ready"]


def test_a_pod_stays_five_minutes_on_a_node_that_is_not_ready() -> None:
    obj = pod()
    tolerations.admit(asking(PODS, obj), Stored())
    assert [(each["key"], each["tolerationSeconds"]) for each in obj["spec"]["tolerations"]] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]


@pytest.mark.parametrize(
    "toleration", [{"operator": "Exists"}, {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]
)
def test_a_pod_that_says_how_long_is_believed(toleration: Object) -> None:
    obj = pod(tolerations=[toleration])
    tolerations.admit(asking(PODS, obj), Stored())
    assert [each for each in obj["spec"]["tolerations"] if each.get("key") == "node.kubernetes.io/not-ready"] == (
        [toleration] if "key" in toleration else []
    )


def _class(name: str, made: str) -> Object:
    marks = {"ingressclass.kubernetes.io/is-default-class": "true"}
    return {"metadata": {"name": name, "creationTimestamp": made, "annotations": marks}}


def test_an_ingress_without_a_class_gets_the_newest_default() -> None:
    stored = Stored()
    for name, made in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-02-01T00:00:00Z")):
        stored.put(INGRESSCLASSES, _class(name, made))
    obj: Object = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}
    ingressclass.admit(asking(INGRESSES, obj), stored)
    assert obj["spec"]["ingressClassName"] == "new"


@pytest.mark.parametrize("annotations", [{}, {"kubernetes.io/ingress.class": "x"}])
def test_an_ingress_that_says_its_class_or_has_no_default_keeps_what_it_says(annotations: Object) -> None:
    obj: Object = {"metadata": {"name": "web", "namespace": "shop", "annotations": annotations}, "spec": {}}
    stored = Stored()
    if annotations:
        stored.put(INGRESSCLASSES, _class("new", "2026-02-01T00:00:00Z"))
    ingressclass.admit(asking(INGRESSES, obj), stored)
    assert "ingressClassName" not in obj["spec"]


def test_in_loopback_written_addresses_move_into_127() -> None:
    spec = {"clusterIP": "10.10.1.101", "clusterIPs": ["10.10.1.101"], "externalIPs": ["192.168.0.9", "x"]}
    obj: Object = {"metadata": {"name": "web", "namespace": "shop"}, "spec": dict(spec)}
    loopback.admit(asking(SERVICES, obj), Stored())
    assert obj["spec"]["clusterIP"] == "127.10.1.101"
    assert obj["spec"]["externalIPs"] == ["127.168.0.9", "x"]
    headless: Object = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "None"}}
    loopback.admit(asking(SERVICES, headless), Stored())
    assert headless["spec"]["clusterIP"] == "None"


def test_the_order_is_that_of_a_real_server_and_loopback_comes_last() -> None:
    names = [plugin.__module__.rpartition(".")[2] for plugin in admission.mutating(True)]
    assert names == [
        "namespaces", "limitranger", "serviceaccount", "nodetaint", "priority", "tolerations", "ingressclass",
        "storageclass", "storageprotection", "runtimeclass", "loopback",
    ]  # fmt: skip
    validating = [plugin.__module__.rpartition(".")[2] for plugin in (*admission.VALIDATING, *admission.LAST)]
    assert validating == ["limitranger", "noderestriction", "podsecurity", "runtimeclass", "quota"]


def _storage(name: str, created: str, default: str = "true") -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    return {"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}}


@pytest.mark.parametrize(("spec", "expected"), [({}, "new"), ({"storageClassName": ""}, ""), (None, "new")])
def test_a_claim_without_a_class_gets_the_newest_default_one(spec: Object | None, expected: str) -> None:
    stored = Stored()
    for item in (_storage("old", "2026-01-01T00:00:00Z"), _storage("new", "2026-02-01T00:00:00Z"),
                 _storage("other", "2026-03-01T00:00:00Z", "false")):  # fmt: skip
        stored.put(resource("storageclasses"), item)
    obj: Object = {"metadata": {"name": "data", "namespace": "shop"}, **({} if spec is None else {"spec": spec})}
    storageclass.admit(asking(PERSISTENTVOLUMECLAIMS, obj), stored)
    assert obj["spec"]["storageClassName"] == expected
