"""Stories of a ReplicaSet: whom it owns, creates, deletes, and what it reports."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers import claims
from panal.controlplane.controllers.replicaset import decide

NOW = 1_700_000_000.0
Object = dict[str, Any]


def replicaset(replicas: int = 3, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "rs", "generation": 4},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def pod(name: str, *, owner: str | None = "rs", ready: bool = True, node: str = "a", **changes: Any) -> Object:
    meta: Object = {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"}}
    if owner:
        meta["ownerReferences"] = [{"uid": owner, "controller": True, "kind": "ReplicaSet", "name": "web"}]
    meta["creationTimestamp"] = "2023-11-14T20:00:00Z"
    meta.update(changes.pop("metadata", {}))
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2023-11-14T20:00:00Z"}
    status = {"phase": "Running", "conditions": [condition], **changes.pop("status", {})}
    return {"metadata": meta, "spec": {"nodeName": node}, "status": status}


def names(pods: Any) -> list[str]:
    return [item["metadata"]["name"] for item in pods]


def test_missing_pods_are_created() -> None:
    assert decide.plan(replicaset(3), [pod("x")], [], NOW) == decide.Plan(create=2)


def test_a_set_with_all_its_pods_does_nothing() -> None:
    pods = [pod("x"), pod("y"), pod("z")]
    assert decide.plan(replicaset(3), pods, pods, NOW) == decide.Plan()


def test_pods_that_ended_or_are_being_deleted_do_not_count() -> None:
    pods = [
        pod("failed", status={"phase": "Failed"}),
        pod("leaving", metadata={"deletionTimestamp": "2023-11-14T22:00:00Z"}),
    ]
    assert decide.plan(replicaset(1), pods, [], NOW) == decide.Plan(create=1)


def test_at_most_five_hundred_pods_are_created_at_once() -> None:
    assert decide.plan(replicaset(2000), [], [], NOW).create == 500


def test_unbound_and_unready_pods_go_first() -> None:
    pods = [pod("ready"), pod("unready", ready=False), pod("unbound", node="", status={"phase": "Pending"})]
    plan = decide.plan(replicaset(0), pods, pods, NOW)
    assert names(plan.delete) == ["unbound", "unready", "ready"]


def test_pods_leave_the_node_that_holds_most_of_the_deployment() -> None:
    pods = [pod("lone", node="b"), pod("one", node="a"), pod("two", node="a")]
    elder = [pod("old", node="b", owner="elder"), pod("older", node="b", owner="elder")]
    assert names(decide.plan(replicaset(2), pods, pods, NOW).delete) == ["one"]
    assert names(decide.plan(replicaset(2), pods, pods + elder, NOW).delete) == ["lone"]


def test_a_cheap_pod_goes_before_a_dear_one() -> None:
    cost = "controller.kubernetes.io/pod-deletion-cost"
    pods = [pod("dear", metadata={"annotations": {cost: "10"}}), pod("cheap", metadata={"annotations": {cost: "-5"}})]
    assert names(decide.plan(replicaset(1), pods, pods, NOW).delete) == ["cheap"]


def test_the_younger_and_the_often_restarted_go_first() -> None:
    young = pod("young", metadata={"creationTimestamp": "2023-11-14T22:13:00Z"})
    old = pod("old")
    assert names(decide.plan(replicaset(1), [old, young], [], NOW).delete) == ["young"]
    shaky = pod("shaky", status={"containerStatuses": [{"restartCount": 7}]})
    assert names(decide.plan(replicaset(1), [old, shaky], [], NOW).delete) == ["shaky"]


def test_a_set_being_deleted_leaves_its_pods_to_the_garbage_collector() -> None:
    leaving = replicaset(3)
    leaving["metadata"]["deletionTimestamp"] = "2023-11-14T22:00:00Z"
    assert decide.plan(leaving, [], [], NOW) == decide.Plan()


def test_orphans_that_match_are_adopted_and_strangers_left_alone() -> None:
    free = pod("free", owner=None)
    foreign = pod("foreign", owner="other")
    found = claims.claim(replicaset(), [pod("own"), free, foreign])
    assert (names(found.owned), names(found.adopt), names(found.release)) == (["own"], ["free"], [])
    patch = claims.adoption_patch(replicaset(), free, "apps/v1", "ReplicaSet")
    assert patch == {
        "metadata": {
            "uid": "free",
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web",
                    "uid": "rs",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        }
    }


def test_a_relabelled_pod_is_released() -> None:
    changed = pod("changed", metadata={"labels": {"app": "debug"}})
    found = claims.claim(replicaset(), [changed])
    assert names(found.release) == ["changed"]
    assert claims.release_patch(replicaset(), changed)["metadata"]["ownerReferences"] is None


def test_a_replication_controller_selects_by_a_plain_mapping() -> None:
    owner = replicaset()
    owner.update(kind="ReplicationController", spec={"selector": {"app": "web"}})
    assert names(claims.claim(owner, [pod("own")]).owned) == ["own"]


def test_the_status_counts_labels_readiness_and_availability() -> None:
    owner = replicaset(3, minReadySeconds=60)
    fresh = {"type": "Ready", "status": "True", "lastTransitionTime": "2023-11-14T22:13:00Z"}
    pods = [
        pod("steady"),
        pod("fresh", status={"conditions": [fresh]}),
        pod("unready", ready=False),
        pod("leaving", metadata={"deletionTimestamp": "2023-11-14T22:00:00Z"}),
    ]
    assert decide.new_status(owner, pods, NOW) == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 4,
    }


def test_a_refused_creation_is_reported_until_it_succeeds() -> None:
    owner = replicaset()
    failed = decide.new_status(owner, [], NOW, ("FailedCreate", "quota exceeded"))
    assert failed["conditions"] == [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": "2023-11-14T22:13:20Z",
            "reason": "FailedCreate",
            "message": "quota exceeded",
        }
    ]
    owner["status"] = failed
    assert "conditions" not in decide.new_status(owner, [], NOW)


def test_a_new_pod_is_the_template_owned_by_the_set() -> None:
    made = decide.new_pod(replicaset(), "apps/v1", "ReplicaSet")
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["labels"] == {"app": "web"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "rs"
    assert made["spec"] == {"containers": [{"name": "c", "image": "i"}]}
