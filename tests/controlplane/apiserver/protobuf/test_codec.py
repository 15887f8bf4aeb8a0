"""Objects go to protobuf and back without loss, and nothing that a client sends can hurt."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import protobuf
from panal.controlplane.apiserver.decode import decode
from panal.controlplane.apiserver.protobuf import Malformed, NoKind
from panal.controlplane.apiserver.protobuf.decode import DEPTH
from panal.controlplane.apiserver.protobuf.table import Field, Message, table
from panal.controlplane.apiserver.protobuf.wire import varint
from panal.controlplane.apiserver.schema import Type, schema
from panal.resources import all_resources, by_kind

RECORDED = Path(__file__).parents[3] / "testdata" / "kubernetes" / "defaults.json"
MOMENT = "2026-03-04T05:06:07Z"


def objects() -> list[dict[str, Any]]:
    """What a real Kubernetes stored, one of many kinds."""
    text = RECORDED.read_text().replace('"TIME"', f'"{MOMENT}"').replace('"MICROTIME"', '"2026-03-04T05:06:07.000008Z"')
    found: list[dict[str, Any]] = [case["response"] for case in json.loads(text)["cases"] if case["code"] == 201]
    return found


OBJECTS = objects()


def restored(obj: dict[str, Any]) -> dict[str, Any]:
    """To protobuf and back, then through the decoding that every written object goes through."""
    back = protobuf.decode(protobuf.encode(obj))
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    decode(resource, back)
    return back


def stored(obj: dict[str, Any]) -> dict[str, Any]:
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    decode(resource, obj)
    for claim in obj.get("spec", {}).get("volumeClaimTemplates", ()):
        del claim["kind"], claim["apiVersion"]  # a template's own kind has no place in its message
    return obj


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: f"{obj['kind']}-{obj['metadata'].get('name')}")
def test_a_stored_object_survives_protobuf(obj: dict[str, Any]) -> None:
    assert restored(obj) == stored(copy.deepcopy(obj))


def test_there_are_objects_of_many_kinds() -> None:
    assert len({obj["kind"] for obj in OBJECTS}) > 25


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
filled = names.filter(bool)
labels = st.dictionaries(names, names, min_size=1, max_size=4)
pods = st.fixed_dictionaries(
    {
        "name": filled,
        "resources": st.fixed_dictionaries({}, optional={"limits": st.just({"cpu": "100m", "memory": "1Gi"})}),
    },
    optional={
        "image": filled,
        "args": st.lists(names, min_size=1, max_size=3),
        "ports": st.lists(
            st.fixed_dictionaries({"containerPort": st.integers(1, 65535)}, optional={"protocol": st.just("UDP")}),
            min_size=1,
            max_size=2,
        ),
        "securityContext": st.fixed_dictionaries(
            {}, optional={"runAsUser": st.integers(-(2**63), 2**63 - 1), "privileged": st.booleans()}
        ),
        "readinessProbe": st.fixed_dictionaries(
            {"httpGet": st.fixed_dictionaries({"port": st.one_of(st.integers(-(2**31), 2**31 - 1), names)})}
        ),
        "env": st.lists(
            st.fixed_dictionaries(
                {
                    "name": filled,
                    "valueFrom": st.fixed_dictionaries(
                        {
                            "secretKeyRef": st.fixed_dictionaries(
                                {"name": filled, "key": filled, "optional": st.booleans()}
                            )
                        }
                    ),
                }
            ),
            min_size=1,
            max_size=2,
        ),
    },
)


@given(
    metadata=st.fixed_dictionaries({"name": filled, "labels": labels}),
    containers=st.lists(pods, min_size=1, max_size=3),
)
def test_any_pod_survives_protobuf(metadata: dict[str, Any], containers: list[dict[str, Any]]) -> None:
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": containers}}
    assert protobuf.decode(protobuf.encode(pod)) == pod


@given(data=st.dictionaries(filled, st.text("YWJjZA", min_size=4, max_size=4), min_size=1))
def test_bytes_are_base64_in_json(data: dict[str, str]) -> None:
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}, "data": data}
    assert protobuf.decode(protobuf.encode(secret)) == secret


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(value=ANYTHING.filter(lambda value: value is not None))
def test_raw_values_stay_json(value: Any) -> None:
    revision = {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "metadata": {"name": "a"},
        "data": value,
        "revision": 3,
    }
    assert protobuf.decode(protobuf.encode(revision)) == revision


def test_json_schemas_and_what_may_stand_in_their_place() -> None:
    props: dict[str, Any] = {
        "type": "object",
        "$ref": "x",
        "items": [{"type": "string"}],
        "properties": {
            "a": {"items": {"type": "string", "maximum": 1.5, "minimum": 0}, "additionalProperties": False},
            "b": {"additionalProperties": {"type": "integer", "default": {"x": [1]}, "enum": ["a", 1]}},
            "c": {"x-kubernetes-preserve-unknown-fields": False, "dependencies": {"d": ["e"]}},
        },
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": props}}
    definition = {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": "a"},
        "spec": {"group": "g", "versions": [version]},
    }
    assert protobuf.decode(protobuf.encode(definition)) == definition


def test_the_versions_of_the_core_group_tell_no_version_of_their_own() -> None:
    versions = {"kind": "APIVersions", "versions": ["v1"]}
    assert protobuf.decode(protobuf.encode(versions), "v1", "APIVersions") == {"apiVersion": "v1", **versions}


def test_zero_is_a_value_of_pointers_only() -> None:
    deployment = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "a", "generation": 0},
        "spec": {"replicas": 0, "minReadySeconds": 0, "paused": False},
    }
    back = protobuf.decode(protobuf.encode(deployment))
    assert back == {**deployment, "metadata": {"name": "a"}, "spec": {"replicas": 0}}


def test_every_field_of_the_schemas_has_a_number() -> None:
    seen: set[tuple[str, str]] = set()
    missing: set[str] = set()
    for resource in all_resources():
        plan = table().find(resource.api_version, resource.kind)
        if plan is not None:
            compare(schema().of(resource), plan, seen, missing)
    assert len(seen) > 400
    assert missing == set()


def compare(kind: Type, plan: Message, seen: set[tuple[str, str]], missing: set[str]) -> None:
    """Walk a schema's type and its message side by side."""
    while kind.items is not None:
        kind = kind.items
    if kind.kind != "struct" or plan.special or (kind.go, plan.name) in seen:
        return
    seen.add((kind.go, plan.name))
    known = fields(plan)
    for key, field in kind.fields.items():
        if key not in known:
            if key not in ("kind", "apiVersion"):
                missing.add(f"{kind.go}.{key}")
        elif (message := known[key].message) is not None:
            compare(field.type, message, seen, missing)


def fields(plan: Message) -> dict[str, Field]:
    """By JSON name, with those of inline messages."""
    found = {field.json: field for field in plan.fields if not field.inline}
    for field in plan.fields:
        if field.inline and field.message is not None:
            found |= fields(field.message)
    return found


def test_what_a_message_does_not_know_is_skipped() -> None:
    body = protobuf.encode({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "a"}})
    unknown = b"\x9a\x06\x03abc" + b"\x98\x06\x05" + b"\x9d\x06abcd" + b"\x99\x06abcdefgh" + b"\x9b\x06\x08\x01\x9c\x06"
    raw = unknown + b"\x0a\x03\x0a\x01a"
    named = body[: body.index(b"Namespace") + len(b"Namespace")]
    assert protobuf.decode(named + b"\x12" + varint(len(raw)) + raw) == {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
    }


def test_the_kind_of_the_request_stands_in_for_a_missing_one() -> None:
    assert protobuf.decode(b"k8s\x00\x12\x05\x0a\x03\x0a\x01a", "v1", "Pod") == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
    }


def test_a_kind_without_messages_is_told() -> None:
    with pytest.raises(NoKind, match=r'no kind "Widget" is registered for version "example\.com/v1"'):
        protobuf.decode(b"k8s\x00", "example.com/v1", "Widget")


def outcome(body: bytes) -> dict[str, Any] | str:
    """The object, or what is wrong with it."""
    try:
        return protobuf.decode(body, "v1", "Pod")
    except Malformed as error:
        return str(error)


@given(body=st.binary(max_size=200))
def test_nonsense_is_malformed_and_nothing_worse(body: bytes) -> None:
    assert outcome(b"k8s\x00\x12" + varint(len(body)) + body)


@given(at=st.integers(0, 5000), value=st.integers(0, 255), which=st.sampled_from(OBJECTS))
def test_a_damaged_object_is_malformed_or_another_object(at: int, value: int, which: dict[str, Any]) -> None:
    body = bytearray(protobuf.encode(which))
    body[at % len(body)] = value
    assert outcome(bytes(body))


def test_endless_nesting_is_refused() -> None:
    plan = table().message("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    number = next(field.number for field in plan.fields if field.json == "not")
    inner = b""
    for _ in range(DEPTH + 2):
        inner = varint(number << 3 | 2) + varint(len(inner)) + inner
    for wrap in (1, 4, 7, 2):  # schema.openAPIV3Schema, versions, spec
        inner = varint(wrap << 3 | 2) + varint(len(inner)) + inner
    with pytest.raises(Malformed, match="exceeded max depth"):
        protobuf.decode(
            b"k8s\x00\x12" + varint(len(inner)) + inner, "apiextensions.k8s.io/v1", "CustomResourceDefinition"
        )


def test_a_small_body_cannot_become_a_huge_object() -> None:
    containers = b"\x12\x00" * 500_000
    raw = b"\x12" + varint(len(containers)) + containers
    with pytest.raises(Malformed, match="too many values"):
        protobuf.decode(b"k8s\x00\x12" + varint(len(raw)) + raw, "v1", "Pod")
