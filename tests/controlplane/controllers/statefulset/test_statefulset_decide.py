"""Stories of StatefulSets: order, updates, partitions."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.revisions import HASH, new_revision
from panal.controlplane.controllers.statefulset import decide

NOW = 1_700_000_000.0
Object = dict[str, Any]


def statefulset(replicas: int = 3, image: str = "v1", **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    selector = {"matchLabels": {"app": "db"}}
    body = {"replicas": replicas, "serviceName": "db", "selector": selector, "template": template, **spec}
    return {"metadata": {"name": "db", "namespace": "default", "uid": "s", "generation": 1}, "spec": body, "status": {}}


def revision(image: str, number: int = 1) -> Object:
    return new_revision(statefulset(image=image), "apps/v1", "StatefulSet", number, None)


V1, V2 = revision("v1"), revision("v2", 2)
SAME, ROLLING = decide.Revisions(V1, V1), decide.Revisions(V1, V2)


def pod(number: int, rev: Object = V1, *, ready: bool = True, phase: str = "Running", **meta: Any) -> Object:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2023-11-14T20:00:00Z"}
    own = {"name": f"db-{number}", "uid": f"db-{number}", "labels": {HASH: rev["metadata"]["name"]}, **meta}
    return {"metadata": own, "spec": {}, "status": {"phase": phase, "conditions": [condition]}}


def step(owner: Object, *pods: Object, revisions: decide.Revisions = SAME) -> tuple[list[int], list[str]]:
    plan = decide.plan(owner, pods, revisions, NOW)
    return list(plan.create), [item["metadata"]["name"] for item in plan.delete]


def test_pods_start_one_after_the_other() -> None:
    assert step(statefulset()) == ([0], [])
    assert step(statefulset(), pod(0, ready=False)) == ([], [])
    assert step(statefulset(), pod(0)) == ([1], [])
    assert step(statefulset(), pod(0), pod(1), pod(2)) == ([], [])


def test_parallel_sets_start_all_at_once() -> None:
    assert step(statefulset(podManagementPolicy="Parallel")) == ([0, 1, 2], [])


def test_a_gap_is_filled_before_anything_else() -> None:
    assert step(statefulset(), pod(0), pod(2)) == ([1], [])


def test_scaling_down_takes_the_highest_first_and_waits() -> None:
    assert step(statefulset(1), pod(0), pod(1), pod(2)) == ([], ["db-2"])
    assert step(statefulset(1), pod(0), pod(1), pod(2, deletionTimestamp="now")) == ([], [])
    assert step(statefulset(1), pod(0, ready=False), pod(1)) == ([], [])


def test_scaling_down_halts_at_an_unhealthy_pod_but_for_the_only_one() -> None:
    ill = [pod(number, ready=False) for number in range(3)]
    assert step(statefulset(0), *ill) == ([], [])
    assert step(statefulset(0), pod(0), pod(1), ill[2]) == ([], ["db-2"])
    assert step(statefulset(0), ill[0], pod(1), pod(2)) == ([], ["db-2"])


def test_a_failed_pod_makes_way_for_itself() -> None:
    assert step(statefulset(), pod(0, phase="Failed")) == ([], ["db-0"])


def test_an_update_goes_from_the_highest_ordinal_down() -> None:
    assert step(statefulset(image="v2"), pod(0), pod(1), pod(2), revisions=ROLLING) == ([], ["db-2"])
    assert step(statefulset(image="v2"), pod(0), pod(1), pod(2, V2, ready=False), revisions=ROLLING) == ([], [])
    assert step(statefulset(image="v2"), pod(0), pod(1), pod(2, V2), revisions=ROLLING) == ([], ["db-1"])


def test_a_partition_keeps_the_lower_ordinals() -> None:
    owner = statefulset(image="v2", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    assert step(owner, pod(0), pod(1), pod(2), revisions=ROLLING) == ([], ["db-2"])
    assert step(owner, pod(0), pod(1), pod(2, V2), revisions=ROLLING) == ([], [])
    assert decide.revision_for(owner, 1, ROLLING) is V1
    assert decide.revision_for(owner, 2, ROLLING) is V2


def test_on_delete_updates_nothing_by_itself() -> None:
    owner = statefulset(image="v2", updateStrategy={"type": "OnDelete"})
    assert step(owner, pod(0), pod(1), pod(2), revisions=ROLLING) == ([], [])


def test_a_pod_has_its_name_host_storage_and_revision() -> None:
    owner = statefulset(
        volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    )
    made = decide.new_pod(owner, 1, V1)
    assert made["metadata"]["name"] == "db-1"
    assert made["metadata"]["labels"] == {
        "app": "db",
        HASH: V1["metadata"]["name"],
        "statefulset.kubernetes.io/pod-name": "db-1",
        "apps.kubernetes.io/pod-index": "1",
    }
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("db-1", "db")
    assert made["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}}]
    (claim,) = decide.claims(owner, 1)
    assert (claim["metadata"]["name"], claim["metadata"]["labels"]) == ("data-db-1", {"app": "db"})


def test_the_status_follows_the_update_and_closes_it() -> None:
    owner = statefulset(2, image="v2")
    during = decide.new_status(owner, [pod(0), pod(1, V2)], ROLLING, NOW)
    assert (during["currentReplicas"], during["updatedReplicas"]) == (1, 1)
    assert (during["currentRevision"], during["updateRevision"]) == (V1["metadata"]["name"], V2["metadata"]["name"])
    after = decide.new_status(owner, [pod(0, V2), pod(1, V2)], ROLLING, NOW)
    assert after["currentRevision"] == V2["metadata"]["name"]
    assert (after["replicas"], after["readyReplicas"], after["availableReplicas"]) == (2, 2, 2)


def test_ordinals_may_start_elsewhere() -> None:
    owner = statefulset(2, ordinals={"start": 5})
    assert step(owner, pod(0)) == ([5], [])
    assert step(owner, pod(0), pod(5), pod(6)) == ([], ["db-0"])
