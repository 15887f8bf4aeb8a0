"""Stories of nodes that fall silent and come back."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.nodelifecycle import decide

NOW = 1_700_000_000.0
Object = dict[str, Any]


def node(ready: str | None = "True", *, taints: Any = (), unschedulable: bool = False, **conditions: str) -> Object:
    found = [{"type": "Ready", "status": ready, "lastHeartbeatTime": "t0"}] if ready else []
    found += [{"type": kind, "status": value} for kind, value in conditions.items()]
    return {
        "metadata": {"name": "a"},
        "spec": {"taints": list(taints), "unschedulable": unschedulable},
        "status": {"conditions": found},
    }


def lease(renewed: str) -> Object:
    return {"spec": {"renewTime": renewed}}


def keys(taints: list[Object]) -> list[tuple[str, str]]:
    return [(item["key"].removeprefix("node.kubernetes.io/"), item["effect"]) for item in taints]


def test_a_renewed_lease_is_a_sign_of_life() -> None:
    first = decide.hear(None, node(), lease("1"), NOW)
    assert decide.hear(first, node(), lease("1"), NOW + 30) is first
    assert decide.hear(first, node(), lease("2"), NOW + 30).at == NOW + 30


def test_a_silent_node_becomes_unknown_after_the_grace_period() -> None:
    heard = decide.hear(None, node(), lease("1"), NOW)
    assert decide.silence(node(), heard, 40, NOW + 39) is None
    conditions = decide.silence(node(MemoryPressure="False"), heard, 40, NOW + 40)
    assert conditions is not None
    told = {item["type"]: (item["status"], item["reason"], item["message"]) for item in conditions}
    stopped = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    never = ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.")
    assert told == {"Ready": stopped, "MemoryPressure": stopped, "DiskPressure": never, "PIDPressure": never}
    unknown = node()
    unknown["status"]["conditions"] = conditions
    assert decide.silence(unknown, heard, 40, NOW + 80) is None


def test_our_own_word_on_a_silent_node_is_no_sign_of_life() -> None:
    heard = decide.hear(None, node(), lease("1"), NOW)
    silent = node()
    silent["status"]["conditions"] = decide.silence(node(), heard, 40, NOW + 40)
    assert decide.hear(heard, silent, lease("1"), NOW + 41) is heard


def test_taints_follow_readiness() -> None:
    assert keys(decide.wanted_taints(node("Unknown"), NOW)) == [
        ("unreachable", "NoSchedule"),
        ("unreachable", "NoExecute"),
    ]
    assert keys(decide.wanted_taints(node("False"), NOW)) == [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]
    assert decide.wanted_taints(node("True"), NOW) == []


def test_a_node_that_registers_waits_untainted_by_noexecute_until_it_reports() -> None:
    registered = [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    assert decide.wanted_taints(node(None, taints=registered), NOW) == registered
    assert decide.wanted_taints(node("True", taints=registered), NOW) == []


def test_foreign_taints_stay_and_ours_change_from_one_to_the_other() -> None:
    taints = [
        {"key": "mine", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "t"},
    ]
    wanted = decide.wanted_taints(node("False", taints=taints), NOW)
    assert keys(wanted) == [("mine", "NoSchedule"), ("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]


def test_pressure_and_cordon_are_taints_too() -> None:
    pressed = node(MemoryPressure="True", unschedulable=True)
    assert keys(decide.wanted_taints(pressed, NOW)) == [
        ("memory-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ]


def test_pods_of_a_silent_node_are_no_longer_ready() -> None:
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]}}
    wanted = decide.unready_pod(ready, NOW)
    assert wanted is not None
    assert [item["status"] for item in wanted["conditions"]] == ["False", "True"]
    assert decide.unready_pod({"status": wanted}, NOW) is None


UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
SINCE = {"node.kubernetes.io/unreachable": NOW - 100}


def pod(*tolerations: Object) -> Object:
    return {"spec": {"tolerations": list(tolerations)}}


def test_an_intolerant_pod_leaves_at_once() -> None:
    assert decide.eviction_after(pod(), [UNREACHABLE], SINCE, NOW) == 0


def test_a_patient_pod_stays_as_long_as_it_said() -> None:
    patient = pod({"key": UNREACHABLE["key"], "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    assert decide.eviction_after(patient, [UNREACHABLE], SINCE, NOW) == 200
    assert decide.eviction_after(patient, [UNREACHABLE], SINCE, NOW + 500) == 0


def test_a_daemon_stays_for_ever() -> None:
    assert decide.eviction_after(pod({"operator": "Exists"}), [UNREACHABLE], SINCE, NOW) is None


def test_noschedule_evicts_nobody() -> None:
    taint = {"key": "mine", "effect": "NoSchedule"}
    assert decide.eviction_after(pod(), [taint], {}, NOW) is None
