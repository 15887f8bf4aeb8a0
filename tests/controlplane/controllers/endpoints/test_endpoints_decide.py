from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.endpoints import decide

Object = dict[str, Any]


def service(**spec: Any) -> Object:
    ports = [{"name": "http", "port": 8080, "targetPort": 80}]
    return {
        "metadata": {"name": "shop", "namespace": "default", "uid": "s", "labels": {"team": "red"}},
        "spec": {"selector": {"app": "shop"}, "ports": ports, **spec},
    }


def pod(name: str, ip: str, *, ready: bool = True, **meta: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, **meta},
        "spec": {"nodeName": "a", "containers": []},
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def test_ready_and_unready_addresses_are_listed_apart() -> None:
    found = decide.wanted(service(), [pod("y", "10.0.0.2", ready=False), pod("x", "10.0.0.1")], None)

    def address(name: str, ip: str) -> Object:
        target = {"kind": "Pod", "namespace": "default", "name": name, "uid": name}
        return {"ip": ip, "nodeName": "a", "targetRef": target}

    assert found["subsets"] == [
        {
            "addresses": [address("x", "10.0.0.1")],
            "notReadyAddresses": [address("y", "10.0.0.2")],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }
    ]
    assert found["metadata"]["labels"] == {"team": "red", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}


def test_a_pod_being_deleted_is_dropped_at_once() -> None:
    assert "subsets" not in decide.wanted(service(), [pod("x", "10.0.0.1", deletionTimestamp="now")], None)


def test_what_exists_keeps_its_identity_and_is_equal_when_nothing_changed() -> None:
    first = decide.wanted(service(), [pod("x", "10.0.0.1")], None)
    first["metadata"].update(uid="e", resourceVersion="7")
    assert decide.wanted(service(), [pod("x", "10.0.0.1")], first) == first


def test_more_than_a_thousand_addresses_are_cut_off_and_said_so() -> None:
    pods = [pod(f"p{number:04d}", f"10.0.{number // 250}.{number % 250}") for number in range(1001)]
    found = decide.wanted(service(), pods, None)
    assert len(found["subsets"][0]["addresses"]) == 1000
    assert found["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}


def test_a_users_own_endpoints_are_not_ours() -> None:
    assert not decide.is_ours({"metadata": {"name": "external"}})
    assert decide.is_ours(decide.wanted(service(), [], None))
