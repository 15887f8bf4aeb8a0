"""Stories of DaemonSets: which nodes get a pod, how an update walks over them, and what is reported."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.daemonset import decide
from panal.controlplane.controllers.revisions import HASH

NOW = 1_700_000_000.0
Object = dict[str, Any]


def daemon(*, template: Object | None = None, **strategy: Any) -> Object:
    found = {"metadata": {"labels": {"app": "proxy"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    found["spec"].update(template or {})  # type: ignore[attr-defined]
    return {
        "metadata": {"name": "proxy", "namespace": "kube-system", "uid": "ds", "generation": 2},
        "spec": {
            "selector": {"matchLabels": {"app": "proxy"}},
            "template": found,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": strategy or {"maxUnavailable": 1}},
        },
    }


def node(name: str, *taints: tuple[str, str], **labels: str) -> Object:
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": key, "effect": effect} for key, effect in taints]},
    }


def nodes(*found: Object) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in found}


def pod(
    name: str, on: str, *, revision: str = "new", ready: bool = True, phase: str = "Running", **meta: Any
) -> Object:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2023-11-14T20:00:00Z"}
    return {
        "metadata": {"name": name, "uid": name, "labels": {HASH: revision}, "creationTimestamp": "1", **meta},
        "spec": {"nodeName": on},
        "status": {"phase": phase, "conditions": [condition]},
    }


def gone(plan: decide.Plan) -> list[str]:
    return [item["metadata"]["name"] for item in plan.delete]


def test_every_node_without_a_pod_gets_one() -> None:
    plan = decide.place(daemon(), nodes(node("a"), node("b")), [pod("x", "a")], "new", NOW)
    assert (plan.create, plan.delete) == (("b",), ())


def test_the_pod_is_pinned_by_an_affinity_for_the_scheduler_to_bind() -> None:
    made = decide.new_pod(daemon(), "b", "new")
    assert "nodeName" not in made["spec"]
    required = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]
    }
    assert decide.node_of(made) == "b"
    assert made["metadata"]["labels"] == {"app": "proxy", HASH: "new"}


def test_terms_of_the_template_are_kept_beside_the_pin() -> None:
    expression = {"key": "disk", "operator": "In", "values": ["ssd"]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    made = decide.new_pod(daemon(template={"affinity": affinity}), "b", "new")
    terms = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms["nodeSelectorTerms"][0]["matchExpressions"] == [expression]
    assert "matchFields" in terms["nodeSelectorTerms"][0]


def test_daemons_tolerate_a_node_in_trouble_but_not_a_foreign_taint() -> None:
    troubled = node(
        "a", ("node.kubernetes.io/unreachable", "NoExecute"), ("node.kubernetes.io/unschedulable", "NoSchedule")
    )
    assert decide.wants(daemon(), troubled) == (True, True)
    assert decide.wants(daemon(), node("b", ("mine", "NoSchedule"))) == (False, True)
    assert decide.wants(daemon(), node("c", ("mine", "NoExecute"))) == (False, False)


def test_only_a_daemon_on_the_hosts_network_goes_where_there_is_no_network() -> None:
    offline = node("a", ("node.kubernetes.io/network-unavailable", "NoSchedule"))
    assert decide.wants(daemon(), offline)[0] is False
    assert decide.wants(daemon(template={"hostNetwork": True}), offline)[0] is True


def test_a_node_that_no_longer_matches_loses_its_pod() -> None:
    picky = daemon(template={"nodeSelector": {"disk": "ssd"}})
    plan = decide.place(picky, nodes(node("a", disk="hdd"), node("b", disk="ssd")), [pod("x", "a")], "new", NOW)
    assert (plan.create, gone(plan)) == (("b",), ["x"])


def test_a_cordoned_taint_keeps_what_runs_and_adds_nothing() -> None:
    tainted = nodes(node("a", ("mine", "NoSchedule")), node("b", ("mine", "NoSchedule")))
    plan = decide.place(daemon(), tainted, [pod("x", "a")], "new", NOW)
    assert plan == decide.Plan()


def test_a_daemon_that_ended_is_removed_so_that_another_starts() -> None:
    plan = decide.place(daemon(), nodes(node("a")), [pod("x", "a", phase="Failed")], "new", NOW)
    assert gone(plan) == ["x"]
    assert [item.pod["metadata"]["name"] for item in plan.failed] == ["x"]


def test_a_double_is_removed_keeping_the_oldest() -> None:
    plan = decide.place(daemon(), nodes(node("a")), [pod("y", "a", creationTimestamp="2"), pod("x", "a")], "new", NOW)
    assert gone(plan) == ["y"]


def test_an_unbound_pod_for_a_node_that_is_gone_is_removed() -> None:
    waiting = decide.new_pod(daemon(), "gone", "new")
    waiting["metadata"].update(name="w", uid="w")
    assert gone(decide.place(daemon(), nodes(), [waiting], "new", NOW)) == ["w"]


def test_an_update_replaces_one_daemon_at_a_time() -> None:
    three = nodes(node("a"), node("b"), node("c"))
    pods = [pod(f"old-{name}", name, revision="old") for name in three]
    assert gone(decide.roll(daemon(), three, pods, "new", NOW)) == ["old-a"]
    starting = [pod("new-a", "a", ready=False), *pods[1:]]
    assert gone(decide.roll(daemon(), three, starting, "new", NOW)) == []
    started = [pod("new-a", "a"), *pods[1:]]
    assert gone(decide.roll(daemon(), three, started, "new", NOW)) == ["old-b"]


def test_a_broken_old_daemon_is_replaced_without_waiting() -> None:
    three = nodes(node("a"), node("b"))
    pods = [pod("old-a", "a", revision="old", ready=False), pod("old-b", "b", revision="old", ready=False)]
    assert gone(decide.roll(daemon(), three, pods, "new", NOW)) == ["old-a", "old-b"]


def test_on_delete_leaves_the_update_to_the_user() -> None:
    manual = daemon()
    manual["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert decide.roll(manual, nodes(node("a")), [pod("x", "a", revision="old")], "new", NOW) == decide.Plan()


def test_a_surge_starts_the_new_daemon_before_the_old_one_goes() -> None:
    surging = daemon(maxSurge=1, maxUnavailable=0)
    two = nodes(node("a"), node("b"))
    old = [pod("old-a", "a", revision="old"), pod("old-b", "b", revision="old")]
    assert decide.roll(surging, two, old, "new", NOW).create == ("a",)
    starting = [*old, pod("new-a", "a", ready=False)]
    assert decide.place(surging, two, starting, "new", NOW) == decide.Plan()
    assert decide.roll(surging, two, starting, "new", NOW) == decide.Plan()
    plan = decide.roll(surging, two, [*old, pod("new-a", "a")], "new", NOW)
    assert (plan.create, gone(plan)) == (("b",), ["old-a"])


def test_the_status_tells_how_far_an_update_is() -> None:
    found = nodes(node("a"), node("b"), node("c", ("mine", "NoSchedule")))
    pods = [pod("x", "a"), pod("y", "b", revision="old", ready=False), pod("z", "c")]
    assert decide.new_status(daemon(), found, pods, "new", NOW) == {
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 2,
        "numberReady": 1,
        "observedGeneration": 2,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 1,
    }
