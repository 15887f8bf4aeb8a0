"""Stories of a Service's slices."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.endpointslice import decide

Object = dict[str, Any]


def service(**spec: Any) -> Object:
    ports = [{"name": "http", "port": 8080, "targetPort": "web", "protocol": "TCP"}]
    return {
        "metadata": {"name": "shop", "namespace": "default", "uid": "s", "labels": {"team": "red"}},
        "spec": {"selector": {"app": "shop"}, "clusterIP": "10.96.0.7", "ports": ports, **spec},
    }


def pod(name: str, ip: str | None = "10.0.0.1", *, ready: bool = True, port: int = 80, **changes: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, **changes.get("metadata", {})},
        "spec": {
            "nodeName": "a",
            "containers": [{"ports": [{"name": "web", "containerPort": port}]}],
            **changes.get("spec", {}),
        },
        "status": {
            "phase": changes.get("phase", "Running"),
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def stored(made: Object, name: str) -> Object:
    meta = {**made["metadata"], "name": name}
    meta.pop("generateName")
    return {**made, "metadata": meta}


def test_the_first_pods_make_one_slice() -> None:
    plan = decide.plan(service(), [pod("x")], [], {"a": "west"})
    assert plan.create == (
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": "shop-",
                "namespace": "default",
                "labels": {
                    "team": "red",
                    "kubernetes.io/service-name": "shop",
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "name": "shop",
                        "uid": "s",
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": {"kind": "Pod", "namespace": "default", "name": "x", "uid": "x"},
                    "nodeName": "a",
                    "zone": "west",
                }
            ],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    )


def test_nothing_is_written_when_nothing_changed() -> None:
    made = stored(decide.plan(service(), [pod("x")], [], {}).create[0], "shop-1")
    assert decide.plan(service(), [pod("x")], [made], {}) == decide.Plan()


def test_readiness_serving_and_termination_are_told_apart() -> None:
    leaving = {"metadata": {"deletionTimestamp": "now"}}

    def conditions(one: Object, **spec: Any) -> Object:
        return decide.endpoint(service(**spec), one, "10.0.0.1")["conditions"]  # type: ignore[no-any-return]

    assert conditions(pod("x", ready=False)) == {"ready": False, "serving": False, "terminating": False}
    assert conditions(pod("x", **leaving)) == {"ready": False, "serving": True, "terminating": True}
    published = conditions(pod("x", ready=False), publishNotReadyAddresses=True)
    assert published == {"ready": True, "serving": False, "terminating": False}


def test_pods_that_ended_or_have_no_address_are_not_listed() -> None:
    plan = decide.plan(service(), [pod("x", phase="Succeeded"), pod("y", None)], [], {})
    assert plan.create[0]["endpoints"] == []


def test_a_ready_pod_changes_the_slice_it_is_in() -> None:
    made = stored(decide.plan(service(), [pod("x", ready=False)], [], {}).create[0], "shop-1")
    plan = decide.plan(service(), [pod("x")], [made], {})
    assert [item["metadata"]["name"] for item in plan.update] == ["shop-1"]
    assert plan.update[0]["endpoints"][0]["conditions"]["ready"] is True
    assert not plan.create


def test_a_named_port_may_differ_from_pod_to_pod() -> None:
    plan = decide.plan(service(), [pod("x", port=80), pod("y", "10.0.0.2", port=8000)], [], {})
    assert [item["ports"][0]["port"] for item in plan.create] == [80, 8000]


def test_the_last_pod_leaves_an_empty_slice() -> None:
    made = stored(decide.plan(service(), [pod("x")], [], {}).create[0], "shop-1")
    plan = decide.plan(service(), [], [made], {})
    assert plan.delete == (made,)
    assert plan.create[0]["endpoints"] == []
    placeholder = stored(plan.create[0], "shop-2")
    assert decide.plan(service(), [], [placeholder], {}) == decide.Plan()
    again = decide.plan(service(), [pod("x")], [placeholder], {})
    assert len(again.create) == 1
    assert again.delete == (placeholder,)


def test_a_hundred_endpoints_fill_a_slice_and_room_is_used_before_a_new_one() -> None:
    pods = [pod(f"p{number:03d}", f"10.0.{number // 250}.{number % 250 + 1}") for number in range(150)]
    made = decide.plan(service(), pods, [], {}).create
    assert [len(item["endpoints"]) for item in made] == [100, 50]
    slices = [stored(item, f"shop-{number}") for number, item in enumerate(made)]
    plan = decide.plan(service(), [*pods, pod("late", "10.9.9.9")], slices, {})
    assert [item["metadata"]["name"] for item in plan.update] == ["shop-1"]
    assert len(plan.update[0]["endpoints"]) == 51


def test_a_headless_service_is_labelled_and_names_its_hosts() -> None:
    named = pod("x", spec={"hostname": "db-0", "subdomain": "shop"})
    plan = decide.plan(service(clusterIP="None"), [named], [], {})
    assert plan.create[0]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert plan.create[0]["endpoints"][0]["hostname"] == "db-0"


def test_traffic_distribution_hints_at_who_is_served_first() -> None:
    zones = {"a": "west"}
    pods = [pod("x"), pod("y", "10.0.0.2", ready=False)]

    def hints(distribution: str) -> list[Any]:
        (made,) = decide.plan(service(trafficDistribution=distribution), pods, [], zones).create
        return [each.get("hints") for each in made["endpoints"]]

    assert hints("PreferClose") == [{"forZones": [{"name": "west"}]}, None]
    assert hints("PreferSameZone") == [{"forZones": [{"name": "west"}]}, None]
    assert hints("PreferSameNode") == [{"forZones": [{"name": "west"}], "forNodes": [{"name": "a"}]}, None]
