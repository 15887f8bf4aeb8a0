"""What the test webhook answers, path by path."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from panal.agents.agnhost import conversions, reviews


def _request(resource: str, obj: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"resource": {"resource": resource}, "operation": "CREATE", "object": obj, **more}


def _patch(answer: dict[str, Any]) -> Any:
    assert answer["allowed"]
    assert answer["patchType"] == "JSONPatch"
    return json.loads(base64.b64decode(answer["patch"]))


def test_an_unwanted_pod_is_denied_with_every_reason() -> None:
    pod = {
        "metadata": {"labels": {"webhook-e2e-test": "webhook-disallow"}},
        "spec": {"containers": [{"name": "webhook-disallow"}]},
    }
    answer = reviews.pods(_request("pods", pod))
    words = "the pod contains unwanted label; the pod contains unwanted container name;"
    assert answer == reviews.denied(words)
    assert reviews.pods(_request("pods", {"metadata": {}, "spec": {"containers": [{"name": "x"}]}})) == reviews.ALLOWED
    assert not reviews.pods(_request("services", {}))["allowed"]


def test_a_label_is_added_once() -> None:
    added = _patch(reviews.add_label(_request("x", {"metadata": {}})))
    assert added == [{"op": "add", "path": "/metadata/labels", "value": {"added-label": "yes"}}]
    beside = _patch(reviews.add_label(_request("x", {"metadata": {"labels": {"a": "b"}}})))
    assert beside == [{"op": "add", "path": "/metadata/labels/added-label", "value": "yes"}]
    instead = _patch(reviews.add_label(_request("x", {"metadata": {"labels": {"added-label": "no"}}})))
    assert instead == [{"op": "replace", "path": "/metadata/labels/added-label", "value": "yes"}]
    assert reviews.add_label(_request("x", {"metadata": {"labels": {"added-label": "yes"}}})) == reviews.ALLOWED


def test_a_configmap_is_changed_in_two_stages() -> None:
    first = _patch(reviews.mutating_configmaps(_request("configmaps", {"data": {"mutation-start": "yes"}})))
    assert first[0]["path"] == "/data/mutation-stage-1"
    both = {"mutation-start": "yes", "mutation-stage-1": "yes"}
    second = _patch(reviews.mutating_configmaps(_request("configmaps", {"data": both})))
    assert second[0]["path"] == "/data/mutation-stage-2"


def test_what_must_not_be_deleted_is_judged_by_its_old_state() -> None:
    kept = {"data": {"webhook-e2e-test": "webhook-nondeletable"}}
    answer = reviews.configmaps(_request("configmaps", None, operation="DELETE", oldObject=kept))
    assert answer["status"]["reason"].startswith("the configmap cannot be deleted")
    assert reviews.configmaps(_request("configmaps", kept)) == reviews.ALLOWED
    assert reviews.custom_resource(_request("x", None, operation="DELETE", oldObject={})) == reviews.ALLOWED


def test_attaching_is_denied_to_one_container_of_one_pod() -> None:
    options = {"stdin": True, "container": "container1"}
    asked = _request("pods", options, name="to-be-attached-pod", subResource="attach")
    assert reviews.attaching_pods(asked) == reviews.denied("attaching to pod 'to-be-attached-pod' is not allowed")
    assert reviews.attaching_pods({**asked, "name": "another"}) == reviews.ALLOWED
    assert reviews.attaching_pods({**asked, "object": {"container": "container1"}}) == reviews.ALLOWED


def test_init_containers_and_sidecars_are_added_once() -> None:
    pod = {"metadata": {"name": "webhook-to-be-mutated"}, "spec": {"containers": [{"name": "c"}]}}
    added = _patch(reviews.mutating_pods(_request("pods", pod)))
    assert added[0]["value"][0]["image"] == "webhook-added-image"
    beside = _patch(reviews.sidecar("busybox")(_request("pods", pod)))
    assert beside[0]["value"]["image"] == "busybox"
    has = {"spec": {"containers": [{"name": "webhook-added-sidecar"}]}}
    assert reviews.sidecar("busybox")(_request("pods", has)) == reviews.ALLOWED
    assert not reviews.sidecar("")(_request("pods", pod))["allowed"]


def test_a_labelled_definition_is_denied() -> None:
    unwanted = {"metadata": {"labels": {"webhook-e2e-test": "webhook-disallow"}}}
    answer = reviews.crd(_request("customresourcedefinitions", unwanted))
    assert answer["status"]["message"] == "the crd contains unwanted label"


def test_a_host_and_port_are_one_field_in_v1_and_two_in_v2() -> None:
    one = {"apiVersion": "stable.example.com/v1", "kind": "E", "hostPort": "localhost:8080"}
    two = conversions.convert(one, "stable.example.com/v2")
    assert two == {"apiVersion": "stable.example.com/v2", "kind": "E", "host": "localhost", "port": "8080"}
    assert conversions.convert(two, "stable.example.com/v1") == one


@pytest.mark.parametrize(
    ("had", "wanted", "words"),
    [
        ("stable.example.com/v1", "stable.example.com/v1", "conversion from a version to itself"),
        ("stable.example.com/v1", "other/v1", 'unexpected conversion version "other/v1"'),
        ("other/v1", "stable.example.com/v1", 'unexpected conversion version "other/v1"'),
    ],
)
def test_an_impossible_conversion_is_the_reviews_failure(had: str, wanted: str, words: str) -> None:
    request = {"uid": "u", "desiredAPIVersion": wanted, "objects": [{"apiVersion": had}]}
    response = conversions.convert_review(request)
    assert response["uid"] == "u"
    assert response["result"]["status"] == "Failure"
    assert words in response["result"]["message"]
