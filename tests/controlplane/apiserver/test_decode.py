"""Decoding: types are checked in Kubernetes' words, unknown fields found, empty values left out or filled in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver.decode import Unreadable, decode
from panal.errors import BadRequest
from panal.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    LEASES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    Resource,
    all_resources,
)


def pod(**spec: Any) -> dict[str, Any]:
    containers = spec.pop("containers", [{"name": "c", "image": "i"}])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers, **spec}}


def refusal(resource: Resource, obj: dict[str, Any], validation: Any = "Ignore") -> str:
    with pytest.raises(BadRequest) as caught:
        decode(resource, obj, validation)
    return caught.value.message


def test_unknown_fields_are_dropped_warned_of_or_refused() -> None:
    def odd() -> dict[str, Any]:
        return pod(foo=1, containers=[{"name": "c", "image": "i", "bar": {}}])

    obj = odd()
    assert decode(PODS, obj, "Ignore") == []
    assert "foo" not in obj["spec"]
    assert "bar" not in obj["spec"]["containers"][0]
    assert decode(PODS, odd(), "Warn") == ['unknown field "spec.containers[0].bar"', 'unknown field "spec.foo"']
    assert refusal(PODS, odd(), "Strict") == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "spec.containers[0].bar", unknown field "spec.foo"'
    )


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (pod(containers="x"), "unmarshal string into PodSpec.spec.containers of type []v1.Container"),
        (pod(hostNetwork="yes"), "unmarshal string into PodSpec.spec.hostNetwork of type bool"),
        (pod(priority=2**31), "unmarshal number 2147483648 into PodSpec.spec.priority of type int32"),
        (pod(priority=1.5), "unmarshal number 1.5 into PodSpec.spec.priority of type int32"),
        (pod(nodeSelector={"a": 1}), "unmarshal number into PodSpec.spec.nodeSelector of type string"),
        (pod(nodeSelector=[]), "unmarshal array into PodSpec.spec.nodeSelector of type map[string]string"),
        ({"spec": 5}, "unmarshal number into Pod.spec of type v1.PodSpec"),
        (pod(containers=[5]), "unmarshal number into PodSpec.spec.containers of type v1.Container"),
        ({"metadata": {"creationTimestamp": "x"}}, 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x"'),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_in_the_decoders_words(obj: dict[str, Any], words: str) -> None:
    found = refusal(PODS, obj).removeprefix('Pod in version "v1" cannot be handled as a Pod: ')
    assert words in found.replace("json: cannot unmarshal ", "unmarshal ").replace("Go struct field ", "")


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ({"metadata": {"labels": "invalid"}}, "cannot restore map from string"),
        (pod(containers="x"), "cannot restore slice from string"),
        (pod(containers=[5]), "cannot restore struct from: int64"),
        ({"spec": []}, "cannot restore struct from: slice"),
        (pod(nodeSelector={"a": 1}), "cannot convert int64 to string"),
        (pod(nodeSelector={"a": {}}), "unrecognized type: string"),
        (pod(hostNetwork="yes"), "unrecognized type: bool"),
        (pod(hostNetwork=1), "unrecognized type: bool"),
        (pod(priority=1.5), "cannot convert float64 to int32"),
        (pod(priority="1"), "unrecognized type: int32"),
    ],
)  # fmt: skip
def test_what_a_strategic_patch_made_is_refused_in_the_converters_words(obj: dict[str, Any], words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(PODS, obj)
    assert caught.value.restoring == words


def test_nulls_in_lists_are_zero_values() -> None:
    obj = pod(
        containers=[{"name": "c", "image": "i", "args": [None, "a"], "ports": [None]}],
        securityContext={"supplementalGroups": [None, 5]},
    )
    decode(PODS, obj)
    container = obj["spec"]["containers"][0]
    assert (container["args"], container["ports"]) == (["", "a"], [{"containerPort": 0}])
    assert obj["spec"]["securityContext"]["supplementalGroups"] == [0, 5]


def test_base64_is_checked() -> None:
    assert "illegal base64 data at input byte 2" in refusal(SECRETS, {"data": {"a": "no base64!"}})
    wrapped = {"data": {"a": "YWJj\nZGVm"}}
    decode(SECRETS, wrapped)
    assert wrapped["data"]["a"] == "YWJjZGVm"


def test_what_is_empty_is_left_out_but_a_pointer_to_it_is_kept() -> None:
    obj = pod(hostNetwork=False, volumes=[], nodeSelector={}, priority=None, automountServiceAccountToken=False)
    decode(PODS, obj)
    assert obj["spec"].keys() == {"containers", "automountServiceAccountToken"}
    deployment: dict[str, Any] = {"spec": {"replicas": 0, "paused": False, "selector": None}}
    decode(DEPLOYMENTS, deployment)
    assert deployment["spec"]["replicas"] == 0
    assert "paused" not in deployment["spec"]
    claim = {"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": ""}}]}}
    decode(STATEFULSETS, claim)
    assert claim["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == ""  # type: ignore[index]


def test_structs_that_are_no_pointers_are_always_written() -> None:
    obj = pod()
    decode(PODS, obj)
    assert obj["spec"]["containers"][0]["resources"] == {}
    assert obj["status"] == {}
    service: dict[str, Any] = {"spec": {}}
    decode(SERVICES, service)
    assert service["status"] == {"loadBalancer": {}}


def test_values_take_their_canonical_form() -> None:
    obj = pod(containers=[{"name": "c", "image": "i", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}])
    decode(PODS, obj)
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    lease = {"spec": {"renewTime": "2026-01-01T01:00:00.5+01:00"}}
    decode(LEASES, lease)
    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:00.500000Z"


def test_an_applied_configuration_keeps_what_it_says() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}
    assert decode(CONFIGMAPS, obj, complete=False) == []
    assert obj["data"] == {}
    half: dict[str, Any] = {"spec": {"paused": False, "nada": 1}}
    assert decode(DEPLOYMENTS, half, "Warn", complete=False) == ['unknown field "spec.nada"']
    assert half == {"spec": {"paused": False}}


def test_decoding_twice_changes_nothing_more() -> None:
    for resource in all_resources():
        if "create" not in resource.verbs:
            continue
        obj: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {}, "status": {}}
        decode(resource, obj)
        once = orjson.dumps(obj)
        decode(resource, obj)
        assert orjson.dumps(obj) == once, resource.group_resource


def test_a_deeply_nested_object_is_refused_not_fatal() -> None:
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"properties": {"a": schema}}
    spec = {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}
    crds = next(item for item in all_resources() if item.plural == "customresourcedefinitions")
    assert "exceeded max depth" in refusal(crds, {"spec": spec})
