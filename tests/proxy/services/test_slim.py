"""What kube-proxy keeps of objects leads to the very same table, and what many have alike is kept once."""

from __future__ import annotations

from typing import Any

import orjson

from panal.proxy.services import slim
from panal.proxy.services.table import TableBuilder, build, changes


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name, "namespace": "default", "uid": f"u-{name}", "resourceVersion": "7",
            "labels": {"app": name}, "annotations": {"a": "b"}, "managedFields": [{}],
        },
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "selector": {"app": name},
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
            "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001,
            "externalIPs": ["192.0.2.1"], "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30000}], **spec,
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.168.0.11", "ipMode": "VIP"}]}},
    }  # fmt: skip


def endpoint_slice(name: str) -> dict[str, Any]:
    ready = {"ready": True, "serving": True, "terminating": False}
    ending = {"ready": False, "serving": True, "terminating": True}
    return {
        "metadata": {
            "name": f"{name}-1", "namespace": "default", "uid": f"s-{name}", "resourceVersion": "8",
            "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "x"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.244.0.2"], "conditions": ready, "nodeName": "nodoa", "targetRef": {"kind": "Pod"}},
            {"addresses": ["10.244.1.2"], "conditions": ending, "nodeName": "nodob", "zone": "z"},
        ],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }  # fmt: skip


def test_the_table_is_the_same_as_from_whole_objects() -> None:
    services = [
        service("web"),
        service("plain", type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster"),
    ]
    slices = [endpoint_slice("web"), endpoint_slice("plain")]
    for node in ("nodoa", "nodob"):
        whole = build(node, (), services, slices)
        kept = build(node, (), map(slim.service, services), map(slim.endpoint_slice, slices))
        assert kept == whole
        assert len(list(kept)) == 2


def test_equal_parts_of_many_objects_are_one() -> None:
    first, second = (slim.endpoint_slice(orjson.loads(orjson.dumps(endpoint_slice(name)))) for name in ("a", "b"))
    assert first["ports"] is second["ports"]
    assert first["endpoints"][0]["conditions"] is second["endpoints"][0]["conditions"]
    assert set(first["metadata"]) == {"name", "namespace", "uid", "resourceVersion", "labels"}


def test_the_changes_of_one_step_are_those_of_a_whole_comparison() -> None:
    builder = TableBuilder("nodoa")
    tables = [builder.table()]
    for number in range(5):
        builder.apply_service(service(f"s{number}", clusterIP=f"10.96.0.{number}", clusterIPs=[f"10.96.0.{number}"]))
        tables.append(builder.table())
    builder.apply_slice(endpoint_slice("s2"))
    builder.delete_service(service("s4"))
    tables.append(builder.table())
    for index, old in enumerate(tables):
        for new in tables[index:]:
            found = changes(old, new)
            assert set(found.removed) == {port for name, port in old.ports.items() if name not in new.ports}
            assert set(found.applied) == {port for name, port in new.ports.items() if old.ports.get(name) != port}
