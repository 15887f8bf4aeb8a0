"""Stories of owners and dependents, on a graph fed as informers would feed it."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.garbage.decide import (
    AskOwners,
    Delete,
    DropOwners,
    Fate,
    LookAt,
    ReleaseDependents,
    RemoveFinalizer,
    decide,
    decide_by_owners,
    known_fates,
)
from panal.controlplane.controllers.garbage.graph import Graph, Node, node_of
from panal.resources import CONFIGMAPS


def thing(
    name: str, *owners: str, block: bool = True, deleting: bool = False, finalizers: tuple[str, ...] = ()
) -> Node:
    meta: dict[str, Any] = {"name": name, "namespace": "default", "uid": name, "finalizers": list(finalizers)}
    meta["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner, "blockOwnerDeletion": block}
        for owner in owners
    ]
    if deleting:
        meta["deletionTimestamp"] = "now"
    return node_of(CONFIGMAPS, {"metadata": meta})


def graph(*nodes: Node) -> Graph:
    found = Graph()
    for node in nodes:
        found.observe(node)
    return found


def fates(found: Graph, node: Node, unknown: Fate = "gone") -> dict[str, Fate]:
    return {owner: fate or unknown for owner, fate in known_fates(found, node).items()}


def test_the_end_of_an_owner_calls_for_a_look_at_its_dependents() -> None:
    found = graph(thing("owner"), thing("child", "owner"), thing("other"))
    assert found.remove("owner") == {"child"}
    assert found.remove("other") == set()


def test_an_object_whose_owners_are_all_gone_is_deleted() -> None:
    child = thing("child", "owner", "second")
    found = graph(child)
    assert decide(found, child) == AskOwners()
    assert decide_by_owners(found, child, fates(found, child)) == Delete("Background")


def test_an_object_with_an_owner_left_loses_only_the_dead_reference() -> None:
    child = thing("child", "owner", "gone")
    found = graph(thing("owner"), child)
    assert decide_by_owners(found, child, fates(found, child)) == DropOwners(frozenset({"gone"}))


def test_an_object_with_all_owners_present_stays() -> None:
    child = thing("child", "owner")
    found = graph(thing("owner"), child)
    assert decide_by_owners(found, child, fates(found, child)) is None


def test_a_newcomer_with_an_unknown_owner_is_looked_at() -> None:
    found = Graph()
    assert found.observe(thing("child", "unknown")) == {"child"}
    found.observe(thing("owner"))
    assert found.observe(thing("second", "owner")) == set()


def test_an_owner_of_the_same_uid_but_another_name_is_asked_for() -> None:
    found = graph(thing("owner"))
    child = thing("child", "owner")
    liar = Node(**{**{f: getattr(child, f) for f in child.__slots__}, "owners": (_renamed(child),)})
    assert known_fates(found, liar) == {"owner": None}


def _renamed(child: Node) -> Any:
    from dataclasses import replace

    return replace(child.owners[0], name="impostor")


def test_a_foreground_deletion_waits_for_dependents_that_block_it() -> None:
    owner = thing("owner", deleting=True, finalizers=("foregroundDeletion",))
    found = graph(thing("blocking", "owner"), thing("loose", "owner", block=False))
    assert found.observe(owner) == {"owner", "blocking", "loose"}
    assert decide(found, owner) == LookAt(frozenset({"blocking"}))
    child = found.get("blocking")
    assert child is not None
    assert decide_by_owners(found, child, fates(found, child)) == Delete("Background")
    assert found.remove("blocking") == {"owner"}
    assert decide(found, owner) == RemoveFinalizer("foregroundDeletion")


def test_a_dependent_with_dependents_of_its_own_is_deleted_in_the_foreground_too() -> None:
    owner = thing("owner", deleting=True, finalizers=("foregroundDeletion",))
    child = thing("child", "owner")
    found = graph(owner, child, thing("grandchild", "child"))
    assert decide_by_owners(found, child, fates(found, child)) == Delete("Foreground")


def test_a_circle_of_foreground_deletions_is_broken() -> None:
    one = thing("one", "two", deleting=True, finalizers=("foregroundDeletion",))
    two = thing("two", "one")
    found = graph(one, two)
    assert decide_by_owners(found, two, fates(found, two)) == Delete("Foreground", (two,))


def test_an_orphaning_deletion_releases_the_dependents() -> None:
    owner = thing("owner", deleting=True, finalizers=("orphan",))
    child = thing("child", "owner")
    found = graph(child)
    assert "owner" in found.observe(owner)
    assert decide(found, owner) == ReleaseDependents((child,))


def test_what_is_being_deleted_already_is_left_alone() -> None:
    child = thing("child", "gone", deleting=True)
    assert decide(graph(child), child) is None


def test_links_follow_changes_of_references() -> None:
    found = graph(thing("owner"), thing("child", "owner"))
    found.observe(thing("child", "second"))
    assert [node.name for node in found.dependents("owner")] == []
    assert [node.name for node in found.dependents("second")] == ["child"]


def test_dropping_a_reference_lets_a_waiting_owner_go_on() -> None:
    owner = thing("owner", deleting=True, finalizers=("foregroundDeletion",))
    found = graph(owner, thing("child", "owner"))
    assert "owner" in found.observe(thing("child"))
