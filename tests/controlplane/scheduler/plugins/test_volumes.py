"""Which nodes a pod with claims may go to, and what its pod is told otherwise."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from panal.controlplane import volumebinding as facts
from panal.controlplane.scheduler.decide import Placed, Refused, message, schedule
from panal.controlplane.scheduler.plugins.volumes import choose
from panal.controlplane.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

Object = dict[str, Any]
Node = Callable[..., NodeInfo]
Pod = Callable[..., PodInfo]
Shot = Callable[..., Snapshot]
DELAYED = {
    "metadata": {"name": "c"},
    "provisioner": "panal.dev/local-path",
    "volumeBindingMode": "WaitForFirstConsumer",
}


class Things:
    """Claims, volumes and one class `c`."""

    def __init__(self, claims: list[Object], volumes: Sequence[Object] = (), storage_class: Object = DELAYED) -> None:
        self._claims = {item["metadata"]["name"]: item for item in claims}
        self._volumes = {item["metadata"]["name"]: item for item in volumes}
        self._class = storage_class
        self.kept: dict[str, str] = {}

    def claim(self, namespace: str, name: str) -> Object | None:
        return self._claims.get(name)

    def volume(self, name: str) -> Object | None:
        return self._volumes.get(name)

    def storage_class(self, name: str) -> Object | None:
        return self._class if name == "c" else None

    def volumes(self, storage_class: str) -> list[Object]:
        return [item for item in self._volumes.values() if facts.class_of(item) == storage_class]

    def kept_for(self, volume: str) -> str | None:
        return self.kept.get(volume)


def claim(volume: str = "", size: str = "1Gi", name: str = "data", **notes: str) -> Object:
    said = {key.replace("__", "/").replace("_", "-"): value for key, value in notes.items()}
    if volume:
        said[facts.BIND_COMPLETED] = "yes"
    spec: Object = {
        "storageClassName": "c",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    meta = {"name": name, "namespace": "default", "uid": name, "annotations": said}
    return {"metadata": meta, "spec": {**spec, **({"volumeName": volume} if volume else {})}}


def volume(name: str, node: str, size: str = "1Gi") -> Object:
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    spec = {"storageClassName": "c", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}}
    spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [here]}}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Available"}}


def using(pod: Pod, *claims: str) -> PodInfo:
    return pod(volumes=[{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims])


def decided(wanted: PodInfo, shot: Snapshot, things: Things) -> str:
    outcome = schedule(wanted, replace(shot, storage=things), random.Random(1))
    if isinstance(outcome, Placed):
        return outcome.node
    assert isinstance(outcome, Refused)
    return message(outcome)


def test_a_pod_follows_its_bound_volume(node: Node, pod: Pod, snapshot: Shot) -> None:
    shot = snapshot(node("a"), node("b"), node("c"))
    assert decided(using(pod, "data"), shot, Things([claim("v")], [volume("v", "b")])) == "b"
    far = decided(using(pod, "data"), shot, Things([claim("v")], [volume("v", "elsewhere")]))
    assert far.startswith("0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity.")
    assert far.endswith("preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")


def test_what_is_wrong_with_the_pods_claims_is_said_once_and_not_of_each_node(
    node: Node, pod: Pod, snapshot: Shot
) -> None:
    shot, wanted = snapshot(node("a", taints=["x:NoSchedule"]), node("b")), using(pod, "data")
    immediate = {**DELAYED, "volumeBindingMode": "Immediate"}
    for things, words in (
        (Things([]), 'persistentvolumeclaim "data" not found'),
        (Things([claim()], storage_class=immediate), "pod has unbound immediate PersistentVolumeClaims"),
    ):
        assert decided(wanted, shot, things).startswith(f"0/2 nodes are available: {words}. preemption: 0/2")


def test_a_claim_whose_node_was_chosen_stays_there(node: Node, pod: Pod, snapshot: Shot) -> None:
    things = Things([claim(**{"volume.kubernetes.io__selected_node": "b"})])
    assert decided(using(pod, "data"), snapshot(node("a"), node("b")), things) == "b"


def test_a_volume_that_is_there_goes_before_a_new_one_and_to_one_claim_only(node: Node, snapshot: Shot) -> None:
    first, second = claim(name="one"), claim(name="two")
    shot = replace(snapshot(node("a")), storage=Things([first, second], [volume("v", "a"), volume("w", "b")]))
    found = choose([first, second], shot.nodes["a"].node, shot)
    assert found is not None
    assert [there["metadata"]["name"] if there else None for _, there in found] == ["v", None]


def test_without_a_provisioner_there_has_to_be_a_volume(node: Node, pod: Pod, snapshot: Shot) -> None:
    by_hand = {**DELAYED, "provisioner": facts.NO_PROVISIONER}
    said = decided(using(pod, "data"), snapshot(node("a")), Things([claim()], storage_class=by_hand))
    assert said.startswith("0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.")
    things = Things([claim()], [volume("v", "b")], by_hand)
    assert decided(using(pod, "data"), snapshot(node("a"), node("b")), things) == "b"


def test_a_class_may_be_for_some_nodes_only(node: Node, pod: Pod, snapshot: Shot) -> None:
    terms = [{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["b"]}]}]
    things = Things([claim()], storage_class={**DELAYED, "allowedTopologies": terms})
    assert decided(using(pod, "data"), snapshot(node("a"), node("b")), things) == "b"
