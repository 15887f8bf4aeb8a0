"""The three patches: what they change, what they refuse, and that they never touch what they get."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver.patch import json_patch, merge_patch, strategic_merge_patch
from panal.errors import BadRequest, Invalid, RequestEntityTooLarge
from panal.resources import DEPLOYMENTS, NODES, PODS, SERVICES

Object = dict[str, Any]

POD: Object = {
    "metadata": {"name": "a", "finalizers": ["x/1", "x/2"], "labels": {"a": "1"}},
    "spec": {
        "containers": [
            {"name": "one", "image": "i1", "ports": [{"containerPort": 80}], "args": ["a", "b"]},
            {"name": "two", "image": "i2"},
        ],
        "tolerations": [{"key": "k"}],
        "nodeSelector": {"a": "1"},
    },
}


def strategic(patch: Object, obj: Object = POD) -> Object:
    before = copy.deepcopy(obj)
    result = strategic_merge_patch(PODS, obj, patch)
    assert obj == before
    return result


def test_containers_merge_by_name_and_other_lists_are_replaced() -> None:
    patch = {"spec": {"containers": [{"name": "two", "image": "new"}, {"name": "three", "image": "i3"}]}}
    found = strategic(patch)["spec"]["containers"]
    assert [(item["name"], item["image"]) for item in found] == [("one", "i1"), ("two", "new"), ("three", "i3")]
    found = strategic({"spec": {"containers": [{"name": "one", "args": ["c"]}]}})["spec"]["containers"][0]
    assert found == {"name": "one", "image": "i1", "ports": [{"containerPort": 80}], "args": ["c"]}
    assert strategic({"spec": {"tolerations": [{"key": "z"}]}})["spec"]["tolerations"] == [{"key": "z"}]


def test_null_removes_and_maps_merge() -> None:
    found = strategic({"metadata": {"labels": {"a": None, "b": "2"}}, "spec": {"nodeSelector": None}})
    assert found["metadata"]["labels"] == {"b": "2"}
    assert "nodeSelector" not in found["spec"]


def test_directives_delete_replace_and_retain() -> None:
    gone = strategic({"spec": {"containers": [{"$patch": "delete", "name": "one"}]}})
    assert [item["name"] for item in gone["spec"]["containers"]] == ["two"]
    replaced = strategic({"spec": {"containers": [{"name": "x"}, {"$patch": "replace"}]}})
    assert replaced["spec"]["containers"] == [{"name": "x"}]
    whole = strategic({"spec": {"nodeSelector": {"$patch": "replace", "z": "1"}}})
    assert whole["spec"]["nodeSelector"] == {"z": "1"}
    deployment = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic_merge_patch(DEPLOYMENTS, deployment, patch)["spec"]["strategy"] == {"type": "Recreate"}


def test_lists_of_scalars_merge_as_sets() -> None:
    found = strategic({"metadata": {"finalizers": ["x/3", "x/1"]}})
    assert found["metadata"]["finalizers"] == ["x/1", "x/2", "x/3"]
    found = strategic({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/1"]}})
    assert found["metadata"]["finalizers"] == ["x/2"]


def test_an_order_is_set_as_kubectl_sets_it() -> None:
    order = [{"name": "two"}, {"name": "new"}, {"name": "one"}]
    patch = {"spec": {"$setElementOrder/containers": order, "containers": [{"name": "new", "image": "n"}]}}
    found = strategic(patch)["spec"]["containers"]
    assert [item["name"] for item in found] == ["two", "new", "one"]
    assert all(not key.startswith("$") for item in found for key in item)


def test_what_the_order_does_not_name_keeps_its_place() -> None:
    obj = {"spec": {"containers": [{"name": name} for name in ("one", "injected", "two")]}}
    patch = {"spec": {"$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}}
    found = strategic(patch, obj)["spec"]["containers"]
    assert sorted(item["name"] for item in found) == ["injected", "one", "two"]
    assert [item["name"] for item in found if item["name"] != "injected"] == ["two", "one"]


def test_service_ports_merge_by_port_and_node_conditions_by_type() -> None:
    service = {"spec": {"ports": [{"port": 80, "nodePort": 30080}, {"port": 81}]}}
    patched = strategic_merge_patch(SERVICES, service, {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}})
    assert patched["spec"]["ports"] == [{"port": 80, "nodePort": 30080, "targetPort": 8080}, {"port": 81}]
    node = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "r"}]}}
    patch = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    patched = strategic_merge_patch(NODES, node, patch)
    assert patched["status"]["conditions"] == [{"type": "Ready", "status": "True", "reason": "r"}]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "map: map[image:x] does not contain declared merge key: name"),
        ({"spec": {"$patch": "explode"}}, "Unknown patch type: explode"),
        ({"spec": {"containers": ["x"]}}, "expected a list of maps"),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": "x"}}, "invalid patch format of delete primitive list"),
        (
            {"spec": {"$setElementOrder/containers": "x", "containers": []}},
            "invalid patch format of setElementOrder list",
        ),
    ],
)
def test_a_strategic_patch_that_makes_no_sense_is_refused(patch: Object, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        strategic(patch)
    assert words in caught.value.message


def test_nesting_is_bounded() -> None:
    patch: Object = {}
    for _ in range(500):
        patch = {"a": patch}
    for apply in (merge_patch, lambda obj, deep: strategic_merge_patch(PODS, obj, deep)):
        with pytest.raises(BadRequest, match="nested too deeply"):
            apply(POD, patch)


def test_json_patches_do_what_they_say_or_are_rejected_as_a_whole() -> None:
    before = copy.deepcopy(POD)
    operations = [
        {"op": "test", "path": "/metadata/name", "value": "a"},
        {"op": "replace", "path": "/metadata/labels/a", "value": "2"},
        {"op": "add", "path": "/spec/containers/-", "value": {"name": "three"}},
        {"op": "remove", "path": "/spec/nodeSelector"},
        {"op": "copy", "from": "/metadata/name", "path": "/metadata/generateName"},
    ]
    found = json_patch(POD, operations)
    assert found["metadata"]["labels"] == {"a": "2"}
    assert [item["name"] for item in found["spec"]["containers"]] == ["one", "two", "three"]
    assert found["metadata"]["generateName"] == "a"
    assert before == POD
    for wrong in (
        [{"op": "test", "path": "/metadata/name", "value": "b"}],
        [{"op": "remove", "path": "/nada"}],
        [{"op": "nada", "path": "/x"}],
        [{"op": "add", "path": "/spec/containers/9", "value": {}}],
        [{"op": "replace", "path": "", "value": 5}],
        [{"op": "move", "path": "/x"}],
        {"op": "add"},
    ):
        with pytest.raises(Invalid, match="the server rejected our request due to an error in our request"):
            json_patch(POD, wrong)
    with pytest.raises(RequestEntityTooLarge):
        json_patch(POD, operations * 3000)


SCALARS = st.one_of(st.integers(-5, 5), st.text("ab", max_size=2), st.booleans())
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


def difference(old: Any, new: Any) -> Any:
    """The merge patch that leads from one to the other."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch = {key: difference(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    return {**patch, **{key: None for key in old if key not in new}}


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leads_from_any_object_to_any_other(old: Object, new: Object) -> None:
    before = copy.deepcopy(old)
    assert merge_patch(old, difference(old, new)) == new
    assert old == before


@given(OBJECTS, OBJECTS)
def test_where_nothing_is_known_of_lists_strategic_and_merge_patch_agree(old: Object, patch: Object) -> None:
    labels = {"spec": {"unknown": old}}
    assert strategic_merge_patch(PODS, labels, {"spec": {"unknown": patch}}) == merge_patch(
        labels, {"spec": {"unknown": patch}}
    )


ITEMS = st.dictionaries(st.sampled_from(["one", "two", "three"]), st.sampled_from(["i", "j"]), max_size=3)


@given(ITEMS, ITEMS)
def test_items_patched_by_key_are_there_and_the_others_stay(old: dict[str, str], patch: dict[str, str]) -> None:
    def containers(images: dict[str, str]) -> Object:
        return {"spec": {"containers": [{"name": name, "image": image} for name, image in images.items()]}}

    found = strategic_merge_patch(PODS, containers(old), containers(patch))["spec"]["containers"]
    assert {item["name"]: item["image"] for item in found} == {**old, **patch}
