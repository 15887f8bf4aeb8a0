"""Which volume a claim gets, in which phase both are, and whose folder may be removed."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane import volumebinding as facts
from panal.controlplane.controllers.persistentvolume import decide
from panal.controlplane.controllers.persistentvolume.folders import Folders

Object = dict[str, Any]
UID = "37ee63db-973f-4971-b851-e3ed4f66ba05"
WAITS = {
    "metadata": {"name": "local-path"},
    "provisioner": decide.PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
}
AT_ONCE = {"metadata": {"name": "fast"}, "provisioner": "example.com/disk", "volumeBindingMode": "Immediate"}


def claim(size: str = "1Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), notes: Any = None, **spec: Any) -> Object:
    meta = {"name": "data", "namespace": "shop", "uid": UID, "annotations": notes or {}}
    wanted = {"accessModes": list(modes), "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": meta, "spec": wanted, "status": {"phase": "Pending"}}


def volume(name: str, size: str = "1Gi", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any) -> Object:
    labels = spec.pop("labels", {})
    found = {"accessModes": list(modes), "capacity": {"storage": size}, **spec}
    return {"metadata": {"name": name, "labels": labels}, "spec": found, "status": {"phase": "Available"}}


def chosen(wanted: Object, *volumes: Object) -> str | None:
    found = facts.best(wanted, volumes)
    return found["metadata"]["name"] if found is not None else None


def test_a_claim_gets_the_smallest_volume_that_is_large_enough() -> None:
    assert chosen(claim("2Gi"), volume("small"), volume("huge", "100Gi"), volume("right", "3Gi")) == "right"


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (claim("2Gi"), volume("a", "1Gi")),
        (claim(modes=("ReadWriteMany",)), volume("a")),
        (claim(storageClassName="fast"), volume("a")),
        (claim(volumeMode="Block"), volume("a")),
        (claim(selector={"matchLabels": {"disk": "ssd"}}), volume("a", labels={"disk": "hdd"})),
        (claim(), volume("a", claimRef={"namespace": "shop", "name": "other"})),
        (claim(), volume("a", claimRef={"namespace": "shop", "name": "data", "uid": "an earlier one"})),
    ],
    ids=["capacity", "access modes", "class", "volumeMode", "selector", "another's", "an earlier claim's"],
)
def test_a_volume_that_is_not_what_was_asked_for_is_not_taken(wanted: Object, there: Object) -> None:
    assert chosen(wanted, there) is None


def test_a_volume_meant_for_the_claim_goes_before_a_better_one() -> None:
    meant = volume("meant", "9Gi", claimRef={"namespace": "shop", "name": "data"})
    assert chosen(claim(), volume("smaller"), meant) == "meant"


def nothing(name: str) -> Object | None:
    return None


def test_a_claim_waits_for_its_first_consumer_and_then_for_that_pods_node() -> None:
    wanted = claim(storageClassName="local-path")
    first = decide.for_claim(wanted, nothing, [volume("a", storageClassName="local-path")], WAITS, None)
    assert isinstance(first, decide.Phase)
    assert first.event is not None
    assert first.event[1:] == ("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    then = decide.for_claim(wanted, nothing, [], WAITS, "db-0")
    assert then == decide.Phase("Pending", ("Normal", "WaitForPodScheduled", "waiting for pod db-0 to be scheduled"))
    selected = claim(storageClassName="local-path", notes={facts.SELECTED_NODE: "nodoa"})
    assert decide.for_claim(selected, nothing, [], WAITS, "db-0") == decide.Provision(WAITS)


def test_an_immediate_claim_is_bound_or_provisioned_at_once_and_one_without_a_class_says_what_it_lacks() -> None:
    wanted, free = claim(storageClassName="fast"), volume("a", storageClassName="fast")
    assert decide.for_claim(wanted, nothing, [free], AT_ONCE, None) == decide.Bind(free)
    assert decide.for_claim(wanted, nothing, [], AT_ONCE, None) == decide.Provision(AT_ONCE)
    none = decide.for_claim(claim(), nothing, [], None, None)
    assert isinstance(none, decide.Phase)
    assert none.event is not None
    assert none.event[1:] == (
        "FailedBinding", "no persistent volumes available for this claim and no storage class is set",
    )  # fmt: skip


def test_a_bound_claim_whose_volume_is_gone_is_lost_and_says_so_once() -> None:
    bound = claim(volumeName="a", notes={facts.BIND_COMPLETED: "yes"})
    lost = decide.for_claim(bound, nothing, [], None, None)
    assert isinstance(lost, decide.Phase)
    assert lost.phase == "Lost"
    assert lost.event is not None
    assert lost.event[1] == "ClaimLost"
    bound["status"]["phase"] = "Lost"
    assert decide.for_claim(bound, nothing, [], None, None) == decide.Phase("Lost")


def test_a_claim_that_names_a_volume_too_small_for_it_is_told_why() -> None:
    wanted, there = claim("5Gi", volumeName="a"), volume("a")
    found = decide.for_claim(wanted, lambda _: there, [], None, None)
    words = 'Cannot bind to requested volume "a": requested PV is too small'
    assert found == decide.Phase("Pending", ("Warning", "VolumeMismatch", words))


def test_binding_is_written_on_both_with_who_chose() -> None:
    wanted, there = claim(), volume("a")
    bound = decide.with_claim(there, wanted)
    assert bound["spec"]["claimRef"]["uid"] == UID
    assert bound["metadata"]["annotations"] == {facts.BOUND_BY_CONTROLLER: "yes"}
    after = decide.with_volume(wanted, bound)
    assert after["spec"]["volumeName"] == "a"
    assert after["metadata"]["annotations"] == {facts.BIND_COMPLETED: "yes", facts.BOUND_BY_CONTROLLER: "yes"}
    assert decide.with_volume(after, bound) is after
    assert decide.with_claim(bound, after) is bound


def test_a_volume_is_available_bound_or_released() -> None:
    wanted = claim(volumeName="a")
    assert decide.for_volume(volume("a"), None) == decide.VolumePlan("Available")
    taken = decide.with_claim(volume("a"), wanted)
    assert decide.for_volume(taken, wanted) == decide.VolumePlan("Bound")
    assert decide.for_volume(taken, None) == decide.VolumePlan("Released", reclaim=True)


@pytest.mark.parametrize("name", [f"pvc-{UID}/../../pki", "pvc-..", "pki", f"pvc-{UID}x", "pvc-", f"pvc-{UID}\n"])
def test_only_a_folder_named_for_a_uid_is_ever_removed(name: str) -> None:
    there = volume(name, hostPath={"path": "/etc"})
    there["metadata"]["annotations"] = {facts.PROVISIONED_BY: decide.PROVISIONER}
    assert decide.folder_name(there) is None


def test_a_volume_of_somebody_else_has_no_folder_of_ours() -> None:
    assert decide.folder_name(volume(f"pvc-{UID}", hostPath={"path": "/etc"})) is None


def test_removing_a_folder_does_not_follow_links_out_of_it(tmp_path: Any) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (tmp_path / "volumes").mkdir()
    folders = Folders(tmp_path / "volumes")
    made = folders.make(f"pvc-{UID}")
    (made / "link").symlink_to(outside)
    folders.remove(f"pvc-{UID}")
    assert not made.exists()
    assert (outside / "kept").read_text() == "kept"


def test_what_the_local_provisioner_cannot_make_is_refused() -> None:
    node = {"metadata": {"name": "nodoa"}}
    assert decide.refusal(claim(), node) is None
    assert decide.refusal(claim(), None) == "configuration error, no node was specified"
    assert "ReadWriteOnce" in (decide.refusal(claim(modes=("ReadWriteMany",)), node) or "")
