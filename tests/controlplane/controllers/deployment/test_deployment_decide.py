"""Stories of rollouts, told by the actions of one look after the other."""

from __future__ import annotations

import copy
from typing import Any

from panal.controlplane.controllers.deployment import progress
from panal.controlplane.controllers.deployment.decide import (
    Action,
    CreateSet,
    DeleteSet,
    SetRevision,
    UpdateSet,
    UpdateStatus,
    decide,
)

NOW = 1_700_000_000.0
Object = dict[str, Any]


def deployment(replicas: int = 3, image: str = "v1", **spec: Any) -> Object:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "d", "generation": 1, "annotations": {}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "strategy": rolling,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
        "status": {},
    }


class World:
    """A cluster of one Deployment: performs actions, and makes pods ready when told."""

    def __init__(self, owner: Object) -> None:
        self.owner = owner
        self.sets: dict[str, Object] = {}
        self.pods: dict[str, list[Object]] = {}
        self.said: list[str] = []
        self.now = NOW

    def look(self) -> list[Action]:
        actions = decide(copy.deepcopy(self.owner), list(self.sets.values()), self.pods, self.now)
        for action in actions:
            self.perform(action)
        return actions

    def perform(self, action: Action) -> None:
        match action:
            case CreateSet(new, size):
                self._keep(new)
                self.said.append(f"create {self.image(new)} of {size}")
            case UpdateSet(new, was, size):
                self._keep(new)
                if was != size:
                    self.said.append(f"scale {self.image(new)} {was}->{size}")
            case DeleteSet(old):
                del self.sets[old["metadata"]["name"]]
                self.said.append(f"delete {self.image(old)}")
            case SetRevision(revision):
                self.owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = revision
            case UpdateStatus(status):
                self.owner["status"] = status

    def _keep(self, rs: Object) -> None:
        rs = copy.deepcopy(rs)
        meta = rs["metadata"]
        meta.setdefault("uid", meta["name"])
        meta.setdefault("creationTimestamp", f"2023-11-14T22:{13 + len(self.sets):02d}:00Z")
        rs.setdefault("status", {"replicas": 0})
        self.sets[meta["name"]] = rs

    @staticmethod
    def image(rs: Object) -> str:
        return str(rs["spec"]["template"]["spec"]["containers"][0]["image"])

    def of(self, image: str) -> Object:
        return next(rs for rs in self.sets.values() if self.image(rs) == image)

    def settle(self, *, ready: bool = True) -> None:
        """Every set has the pods it wants."""
        for rs in self.sets.values():
            size = rs["spec"]["replicas"]
            up = size if ready else min(size, rs["status"].get("availableReplicas", 0))
            rs["status"] = {"replicas": size, "readyReplicas": up, "availableReplicas": up}

    def roll(self, *, ready: bool = True, looks: int = 20) -> list[str]:
        """Look and settle until nothing more happens; what was done."""
        self.said.clear()
        for _ in range(looks):
            if not self.look():
                break
            self.settle(ready=ready)
        return list(self.said)

    def change(self, **spec: Any) -> None:
        self.owner["spec"].update(spec)
        self.owner["metadata"]["generation"] += 1

    def image_to(self, image: str) -> None:
        template = copy.deepcopy(self.owner["spec"]["template"])
        template["spec"]["containers"][0]["image"] = image
        self.change(template=template)

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(item for item in self.owner["status"]["conditions"] if item["type"] == kind)
        return found["status"], found["reason"]


def test_a_new_deployment_makes_one_replicaset_of_full_size() -> None:
    world = World(deployment(3))
    assert world.roll() == ["create v1 of 3"]
    rs = world.of("v1")
    digest = rs["metadata"]["labels"]["pod-template-hash"]
    assert rs["metadata"]["name"] == f"web-{digest}"
    assert rs["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
    assert rs["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == digest
    assert rs["metadata"]["annotations"] == {
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert world.owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    status = world.owner["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert world.condition("Available") == ("True", "MinimumReplicasAvailable")
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_a_change_of_the_template_rolls_one_pod_at_a_time() -> None:
    world = World(deployment(3))
    world.roll()
    world.image_to("v2")
    assert world.roll() == [
        "create v2 of 1",
        "scale v1 3->2",
        "scale v2 1->2",
        "scale v1 2->1",
        "scale v2 2->3",
        "scale v1 1->0",
    ]
    assert world.of("v2")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_maxunavailable_all_replaces_everything_at_once() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}}
    world = World(deployment(3, strategy=rolling))
    world.roll()
    world.image_to("v2")
    assert world.roll() == ["create v2 of 0", "scale v1 3->0", "scale v2 0->3"]


def test_a_rollout_that_does_not_become_ready_stops_at_its_limits() -> None:
    world = World(deployment(4))
    world.roll()
    world.image_to("broken")
    assert world.roll(ready=False) == ["create broken of 1", "scale v1 4->3", "scale broken 1->2"]
    assert world.of("v1")["spec"]["replicas"] == 3
    world.now += 601
    world.look()
    assert world.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
    assert world.condition("Available") == ("True", "MinimumReplicasAvailable")


def test_an_unhealthy_old_pod_goes_even_when_no_healthy_one_may() -> None:
    world = World(deployment(4))
    world.roll()
    world.image_to("v2")
    world.look()
    world.of("v1")["status"]["availableReplicas"] = 3
    world.said.clear()
    world.look()
    assert world.said == ["scale v1 4->3"]


def test_undo_reuses_the_old_replicaset_under_a_new_revision() -> None:
    world = World(deployment(2))
    world.roll()
    world.image_to("v2")
    world.roll()
    world.image_to("v1")
    said = world.roll()
    assert not any(item.startswith("create") for item in said)
    annotations = world.of("v1")["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert world.owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_old_replicasets_beyond_the_history_limit_are_deleted() -> None:
    world = World(deployment(1, revisionHistoryLimit=1))
    for image in ("v1", "v2", "v3"):
        world.image_to(image)
        said = world.roll()
    assert said[-1] == "delete v1"
    assert sorted(map(world.image, world.sets.values())) == ["v2", "v3"]


def test_recreate_waits_until_the_last_old_pod_is_gone() -> None:
    world = World(deployment(2, strategy={"type": "Recreate"}))
    world.roll()
    old = world.of("v1")["metadata"]["name"]
    world.pods = {old: [{"status": {"phase": "Running"}}]}
    world.image_to("v2")
    assert world.roll() == ["scale v1 2->0"]
    world.pods = {}
    assert world.roll() == ["create v2 of 2"]


def test_scaling_a_settled_deployment_scales_its_only_set() -> None:
    world = World(deployment(3))
    world.roll()
    world.change(replicas=5)
    assert world.roll() == ["scale v1 3->5"]
    world.change(replicas=0)
    assert world.roll() == ["scale v1 5->0"]


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportions() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    world = World(deployment(10, strategy=rolling))
    world.roll()
    world.image_to("v2")
    world.roll(ready=False)
    before = {image: world.of(image)["spec"]["replicas"] for image in ("v1", "v2")}
    assert before == {"v1": 8, "v2": 5}
    world.change(replicas=15)
    world.look()
    after = {image: world.of(image)["spec"]["replicas"] for image in ("v1", "v2")}
    assert after == {"v1": 11, "v2": 7}


def test_a_paused_deployment_scales_but_starts_no_rollout() -> None:
    world = World(deployment(2))
    world.roll()
    world.change(paused=True)
    world.image_to("v2")
    assert world.roll() == []
    assert world.condition("Progressing") == ("Unknown", "DeploymentPaused")
    world.change(replicas=4)
    assert world.roll() == ["scale v1 2->4"]
    world.change(paused=False)
    assert world.roll()[0] == "create v2 of 1"
    assert world.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_without_a_deadline_there_is_no_progressing_condition() -> None:
    world = World(deployment(1, progressDeadlineSeconds=2**31 - 1))
    world.roll()
    assert [item["type"] for item in world.owner["status"]["conditions"]] == ["Available"]


def test_a_deployment_being_deleted_only_reports() -> None:
    world = World(deployment(1))
    world.owner["metadata"]["deletionTimestamp"] = "2023-11-14T22:00:00Z"
    actions = world.look()
    assert [type(action) for action in actions] == [UpdateStatus]


def test_annotations_for_people_are_copied_and_bookkeeping_is_not() -> None:
    owner = deployment(1)
    owner["metadata"]["annotations"] = {
        "kubernetes.io/change-cause": "first",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    world = World(owner)
    world.roll()
    annotations = world.of("v1")["metadata"]["annotations"]
    assert annotations["kubernetes.io/change-cause"] == "first"
    assert "kubectl.kubernetes.io/last-applied-configuration" not in annotations


def test_a_failure_of_the_new_set_shows_on_the_deployment() -> None:
    world = World(deployment(1))
    world.look()
    world.of("v1")["status"]["conditions"] = [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "no"}
    ]
    world.look()
    assert world.condition("ReplicaFailure") == ("True", "FailedCreate")


def test_the_next_look_waits_for_the_deadline() -> None:
    world = World(deployment(1))
    world.look()
    assert progress.look_again(world.owner, world.owner["status"], NOW + 100) == 501
    world.settle()
    world.roll()
    assert progress.look_again(world.owner, world.owner["status"], NOW + 100) is None
