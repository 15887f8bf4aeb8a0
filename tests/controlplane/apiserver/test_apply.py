"""Server-side apply and the managers of updates: who owns what, who conflicts, what goes when nobody wants it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panal.controlplane.apiserver import fieldsets
from panal.controlplane.apiserver.apply import MAX_UPDATE_MANAGERS, apply, check_manager, track_update
from panal.controlplane.apiserver.decode import decode
from panal.controlplane.apiserver.schema import schema
from panal.controlplane.apiserver.strategy import strategy_for
from panal.errors import BadRequest, Conflict, Invalid
from panal.resources import CONFIGMAPS, DEPLOYMENTS, PODS, Resource

Object = dict[str, Any]
THEN, NOW, LATER = (f"2026-01-01T00:00:0{second}Z" for second in range(3))


def config(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": data}


def owned(obj: Object) -> dict[tuple[str, str, str], Object]:
    entries = obj["metadata"].get("managedFields", ())
    return {(item["manager"], item["operation"], item.get("subresource", "")): item["fieldsV1"] for item in entries}


def put(resource: Resource, old: Object | None, new: Object, manager: str, now: str = NOW, **options: Any) -> Object:
    new = copy.deepcopy(new)
    decode(resource, new)
    strategy_for(resource).default(new)
    track_update(resource, old, new, manager=manager, now=now, **options)
    return new


def ssa(resource: Resource, live: Object | None, applied: Object, manager: str, *, force: bool = False) -> Object:
    applied = copy.deepcopy(applied)
    decode(resource, applied, complete=False)
    return apply(resource, live, applied, manager=manager, force=force, now=NOW, default=strategy_for(resource).default)


def deployment(**changes: Any) -> Object:
    container = {"name": "c", "image": "nginx", **changes.pop("container", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "n"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
            **changes,
        },
    }


def test_each_manager_owns_what_it_applied_and_conflicts_name_the_other() -> None:
    live = ssa(CONFIGMAPS, None, config(a="1", b="1"), "one")
    with pytest.raises(Conflict) as caught:
        ssa(CONFIGMAPS, live, config(a="2", b="2", c="2"), "two")
    assert caught.value.message == ('Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b')
    assert caught.value.details is not None
    assert [cause["field"] for cause in caught.value.details["causes"]] == [".data.a", ".data.b"]


def test_force_takes_fields_over_and_giving_up_a_shared_field_keeps_it() -> None:
    live = ssa(CONFIGMAPS, None, config(a="1", b="1"), "one")
    live = ssa(CONFIGMAPS, live, config(a="2"), "two", force=True)
    assert owned(live) == {
        ("one", "Apply", ""): {"f:data": {"f:b": {}}},
        ("two", "Apply", ""): {"f:data": {"f:a": {}}},
    }
    live = ssa(CONFIGMAPS, live, config(a="2", b="1"), "three")
    live = ssa(CONFIGMAPS, live, config(), "one")
    assert live["data"] == {"a": "2", "b": "1"}
    live = ssa(CONFIGMAPS, live, config(a="2"), "three")
    assert live["data"] == {"a": "2"}


def test_an_update_conflicts_with_its_version_shown() -> None:
    live = put(CONFIGMAPS, None, config(a="1"), "kubectl-edit")
    with pytest.raises(Conflict, match=r'Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .data.a'):
        ssa(CONFIGMAPS, live, config(a="2"), "me")


def test_applying_the_same_again_changes_nothing_at_all() -> None:
    live = ssa(DEPLOYMENTS, None, deployment(replicas=2), "me")
    assert ssa(DEPLOYMENTS, live, deployment(replicas=2), "me") is live


def test_a_scaler_and_an_applier_share_a_deployment() -> None:
    live = ssa(DEPLOYMENTS, None, deployment(), "me")
    assert live["spec"]["replicas"] == 1
    scaled = copy.deepcopy(live)
    scaled["spec"]["replicas"] = 5
    live = put(DEPLOYMENTS, live, scaled, "scaler", LATER)
    assert owned(live)["scaler", "Update", ""] == {"f:spec": {"f:replicas": {}}}
    live = ssa(DEPLOYMENTS, live, deployment(container={"image": "nginx:2"}), "me")
    assert live["spec"]["replicas"] == 5
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"


def test_a_container_that_is_no_longer_applied_goes_and_a_foreign_one_stays() -> None:
    base = deployment()
    base["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "s"})
    live = ssa(DEPLOYMENTS, None, base, "me")
    foreign = copy.deepcopy(live)
    foreign["spec"]["template"]["spec"]["containers"].append({"name": "injected", "image": "i"})
    live = put(DEPLOYMENTS, live, foreign, "injector")
    live = ssa(DEPLOYMENTS, live, deployment(), "me")
    assert [item["name"] for item in live["spec"]["template"]["spec"]["containers"]] == ["c", "injected"]


def test_applied_items_keep_the_order_of_the_configuration() -> None:
    env = [{"name": name, "value": "1"} for name in "abc"]
    live = ssa(DEPLOYMENTS, None, deployment(container={"env": env}), "me")
    live = ssa(DEPLOYMENTS, live, deployment(container={"env": [env[2], env[0], env[1]]}), "me")
    found = live["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [item["name"] for item in found] == ["c", "a", "b"]


def test_one_key_twice_in_a_configuration_is_refused() -> None:
    live = ssa(DEPLOYMENTS, None, deployment(container={"env": [{"name": "a"}]}), "me")
    twice = deployment(container={"env": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]})
    with pytest.raises(BadRequest, match=r'duplicate entries for key \[name="a"\]'):
        ssa(DEPLOYMENTS, live, twice, "me")


def test_status_is_tracked_apart_and_ignored_on_the_main_resource() -> None:
    live = put(PODS, None, {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "me")
    new = {**live, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}}
    ignored = put(PODS, live, new, "me")
    assert owned(ignored).keys() == {("me", "Update", "")}
    live = put(PODS, live, new, "kubelet", subresource="status")
    assert owned(live)["kubelet", "Update", "status"] == {
        "f:status": {"f:phase": {}, "f:podIPs": {".": {}, 'k:{"ip":"10.0.0.1"}': {".": {}, "f:ip": {}}}}
    }


def test_the_time_of_a_manager_moves_only_with_its_fields() -> None:
    live = put(CONFIGMAPS, None, config(a="1"), "me", THEN)
    same = put(CONFIGMAPS, live, live, "me", LATER)
    assert same["metadata"]["managedFields"][0]["time"] == THEN
    live = put(CONFIGMAPS, live, config(a="2"), "me", LATER)
    assert live["metadata"]["managedFields"][0]["time"] == LATER


def test_many_managers_of_updates_are_folded_the_oldest_first() -> None:
    live = put(CONFIGMAPS, None, config(k="0"), "m00", "2026-01-01T00:00:00Z")
    for number in range(1, 15):
        data = {**live["data"], f"k{number}": "1"}
        live = put(CONFIGMAPS, live, {**live, "data": data}, f"m{number:02}", f"2026-01-01T00:00:{number:02}Z")
    managers = [item["manager"] for item in live["metadata"]["managedFields"]]
    assert len(managers) == MAX_UPDATE_MANAGERS
    assert managers[0] == "ancient-changes"
    assert managers[-1] == "m14"


def test_empty_managed_fields_reset_them() -> None:
    live = put(CONFIGMAPS, None, config(a="1"), "me")
    reset = {**live, "metadata": {**live["metadata"], "managedFields": [{}]}}
    track_update(CONFIGMAPS, live, reset, manager="me", now=NOW)
    assert "managedFields" not in reset["metadata"]


def test_an_untracked_object_belongs_to_before_first_apply() -> None:
    live = config(a="1")
    with pytest.raises(Conflict, match=r'conflict with "before-first-apply" using v1: .data.a'):
        ssa(CONFIGMAPS, live, config(a="2"), "me")
    assert owned(ssa(CONFIGMAPS, live, config(b="2"), "me")).keys() == {
        ("before-first-apply", "Update", ""),
        ("me", "Apply", ""),
    }


def test_a_manager_must_have_a_name_one_can_print() -> None:
    check_manager("me", required=True)
    for name in ("", "x" * 129, "a\nb"):
        with pytest.raises(Invalid):
            check_manager(name, required=True)
    with pytest.raises(BadRequest, match=r"metadata.managedFields must be nil"):
        ssa(CONFIGMAPS, None, {**config(), "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}}, "me")


KEYS = st.sampled_from("abcd")
DATA = st.dictionaries(KEYS, st.sampled_from("123"), max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from(["apply", "put"]), st.sampled_from(["one", "two", "three"]), DATA), max_size=8
)


def leaves(fields: Object) -> Iterator[str]:
    for path in fieldsets.paths(fields):
        if len(path) == 2 and path[0] == "f:data":
            yield path[1]


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_is_written_has_an_owner_and_values_are_the_last_writers(
    steps: list[tuple[str, str, dict[str, str]]],
) -> None:
    live: Object | None = None
    for verb, manager, data in steps:
        before = dict((live or {}).get("data") or {})
        if verb == "put":
            sent = {**(live or config()), "data": data}
            live = put(CONFIGMAPS, live, sent, manager)
            assert (live.get("data") or {}) == data
        else:
            live = ssa(CONFIGMAPS, live, config(**data), manager, force=True)
            now = live.get("data") or {}
            assert data.items() <= now.items()
            assert all(now[key] == before[key] for key in now.keys() - data.keys())
        have = {f"f:{key}" for key in live.get("data") or {}}
        entries = owned(live).values()
        assert {leaf for fields in entries for leaf in leaves(fields)} == have
        updates = [leaf for key, fields in owned(live).items() if key[1] == "Update" for leaf in leaves(fields)]
        assert len(updates) == len(set(updates))


NAMES = st.sampled_from(["f:a", "f:b", "f:c"])


def _member(node: Object) -> Object:
    return {".": {}, **node} if node else {}


TREES = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(NAMES, st.one_of(inner, inner.map(_member)), max_size=3),
    max_leaves=8,
)


@given(TREES, TREES)
def test_sets_of_paths_are_sets(a: Object, b: Object) -> None:
    one, two = set(fieldsets.paths(a)), set(fieldsets.paths(b))
    assert set(fieldsets.paths(fieldsets.union(a, b))) == one | two
    assert set(fieldsets.paths(fieldsets.difference(a, b))) == one - two
    assert set(fieldsets.paths(fieldsets.intersection(a, b))) == one & two


def test_paths_read_as_in_messages() -> None:
    fields = {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}}}, "f:x": {'v:"y"': {}}}}
    shown = [fieldsets.path_text(path) for path in fieldsets.paths(fields)]
    assert shown == ['.spec.containers[name="c"]', '.spec.containers[name="c"].image', '.spec.x[="y"]']


def test_everything_of_an_object_is_what_it_differs_in_from_nothing() -> None:
    obj = put(DEPLOYMENTS, None, deployment(), "me")
    changed, removed = fieldsets.compare(schema().of(DEPLOYMENTS), {}, obj)
    assert removed == {}
    assert changed["f:spec"] == fieldsets.everything(schema().of(DEPLOYMENTS).fields["spec"].type, obj["spec"])
