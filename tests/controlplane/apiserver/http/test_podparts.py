"""pods/ephemeralcontainers and pods/resize: each writes its part of a pod, by its rules, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import ApiServer
from .recorded import Recorder, Reply

PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture(scope="module")
def client(apiserver: ApiServer) -> Iterator[Recorder]:
    made = Recorder(apiserver)
    made.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    for name in ("debugged", "resized"):
        asked = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "64Mi"}}
        spec = {"containers": [{"name": "c", "image": "i", "resources": asked}]}
        assert made.send("POST", PODS, {"metadata": {"name": name}, "spec": spec}).code == 201
    yield made
    made.close()


def patch(client: Recorder, path: str, **spec: Any) -> Reply:
    return client.send("PATCH", f"{PODS}/{path}", {"spec": spec}, content_type=STRATEGIC)


def test_an_ephemeral_container_is_added_and_stays(client: Recorder) -> None:
    where = "debugged/ephemeralcontainers"
    sneaky = [{"name": "c", "image": "other"}]
    reply = patch(client, where, ephemeralContainers=[{"name": "sh", "image": "sh"}], containers=sneaky, priority=7)
    assert reply.code == 200, reply.body
    spec = reply.body["spec"]
    assert ([each["name"] for each in spec["ephemeralContainers"]], spec["containers"][0]["image"]) == (["sh"], "i")
    assert (spec["priority"], reply.body["metadata"]["generation"]) == (0, 2)
    told = [
        patch(client, where, ephemeralContainers=[{"name": "sh", "image": "changed"}]),
        patch(client, where, ephemeralContainers=[{"name": "c", "image": "i"}]),
        patch(client, where, ephemeralContainers=[{"name": "x", "image": "i", "targetContainerName": "none"}]),
        patch(client, where, ephemeralContainers=[{"name": "x", "image": "i", "ports": [{"containerPort": 1}]}]),
        patch(client, where, ephemeralContainers=[{"name": "sh", "$patch": "delete"}]),
    ]
    causes = [(each.code, [(c["field"], c["message"]) for c in each.body["details"]["causes"]]) for each in told]
    field = "spec.ephemeralContainers"
    assert causes == [
        (422, [(field, 'Forbidden: existing ephemeral containers "sh" may not be changed\n')]),
        (422, [(f"{field}[1].name", 'Duplicate value: "c"')]),
        (422, [(f"{field}[1].targetContainerName", 'Not found: "none"')]),
        (422, [(f"{field}[1].ports", "Forbidden: cannot be set for an Ephemeral Container")]),
        (422, [(field, 'Forbidden: existing ephemeral containers "sh" may not be removed\n')]),
    ]


def test_a_resize_changes_cpu_and_memory_within_the_quality_of_service(client: Recorder) -> None:
    more = {"requests": {"cpu": "200m"}, "limits": {"cpu": "2"}}
    reply = patch(client, "resized/resize", containers=[{"name": "c", "image": "other", "resources": more}])
    assert reply.code == 200, reply.body
    [container] = reply.body["spec"]["containers"]
    assert container["image"] == "i"
    assert container["resources"] == {
        "requests": {"cpu": "200m", "memory": "64Mi"},
        "limits": {"cpu": "2", "memory": "64Mi"},
    }
    for resources, message in (
        ({"limits": {"memory": None}}, "Forbidden: resource limits cannot be removed"),
        ({"limits": {"ephemeral-storage": "1Gi"}}, "Forbidden: only cpu and memory resources are mutable"),
        (
            {"requests": {"cpu": "2", "memory": "64Mi"}},
            'Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing',
        ),
    ):
        reply = patch(client, "resized/resize", containers=[{"name": "c", "resources": resources}])
        assert reply.code == 422, reply.body
        assert message in [cause["message"] for cause in reply.body["details"]["causes"]]
