"""What the API is told about a pod at every stage of its life, and the patch that tells it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from panal.agents.kubelet.status import changes, only_starting, qos_class


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    found = next(item for item in status["conditions"] if item["type"] == kind)
    return found["status"], found.get("reason", ""), found.get("message", "")


def test_a_pod_that_has_just_come_is_pending_and_its_containers_are_being_created(world: Any, pod: Any) -> None:
    found = world(pod("web")).status()
    assert found["phase"] == "Pending"
    assert found["containerStatuses"] == [
        {
            "name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}, "ready": False,
            "restartCount": 0, "image": "busybox", "imageID": "", "started": False,
        }
    ]  # fmt: skip
    assert condition(found, "Ready") == ("False", "ContainersNotReady", "containers with unready status: [web]")
    assert condition(found, "PodReadyToStartContainers")[0] == "False"
    assert condition(found, "PodScheduled") == condition(found, "Initialized") == ("True", "", "")


def test_a_status_that_tells_more_than_that_the_pod_is_starting_does_not_wait(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("setup",)))
    assert only_starting(w.status())
    w.settle()
    assert not only_starting(w.status())  # an init container runs
    missing = world(pod("web"))
    missing.failure("web", "ErrImagePull", "no such image", 10.0)
    assert (missing.status()["phase"], only_starting(missing.status())) == ("Pending", False)


def test_a_running_pod_is_ready_with_its_addresses(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    w.settle()
    found = w.status()
    assert found["phase"] == "Running"
    assert (found["podIP"], found["hostIP"], found["startTime"]) == (
        "10.0.0.9",
        "192.168.0.101",
        "1970-01-01T00:16:40Z",
    )
    only = found["containerStatuses"][0]
    assert only["state"] == {"running": {"startedAt": "1970-01-01T00:16:40Z"}}
    assert (only["ready"], only["started"], only["containerID"]) == (True, True, "panal://web-1")
    assert condition(found, "Ready") == ("True", "", "")


def test_a_container_with_a_readiness_probe_is_not_ready_before_it_passes(world: Any, pod: Any) -> None:
    w = world(pod({"name": "web", "readinessProbe": {"tcpSocket": {"port": 80}}}))
    w.settle()
    found = w.status()
    assert (found["phase"], found["containerStatuses"][0]["ready"]) == ("Running", False)
    assert condition(found, "Ready")[1] == "ContainersNotReady"


def test_while_init_containers_run_the_others_wait_for_them(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("setup",)))
    w.settle()
    found = w.status()
    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    message = "containers with incomplete status: [setup]"
    assert condition(found, "Initialized") == ("False", "ContainersNotInitialized", message)


def test_a_crash_loop_is_told_in_upstreams_words(world: Any, pod: Any) -> None:
    w = world(pod("web"), runs={"web": [(1, 2), (1, 2)]})
    w.run(5)
    found = w.status()
    only = found["containerStatuses"][0]
    message = "back-off 10s restarting failed container=web pod=p_default(u1)"
    assert only["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    assert only["restartCount"] == 1
    assert only["lastState"]["terminated"]["exitCode"] == 2
    assert only["lastState"]["terminated"]["reason"] == "Error"
    assert found["phase"] == "Running"


def test_a_pod_whose_containers_have_all_ended_well_has_succeeded(world: Any, pod: Any) -> None:
    w = world(pod("web", restartPolicy="Never"), runs={"web": [(3, 0)]})
    w.run(10)
    found = w.status()
    assert found["phase"] == "Succeeded"
    assert found["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert condition(found, "Ready") == ("False", "PodCompleted", "")
    assert condition(found, "Initialized") == ("True", "PodCompleted", "")


def test_a_container_that_the_kernel_killed_for_its_memory_says_so(world: Any, pod: Any) -> None:
    w = world(pod("web", restartPolicy="Never"), runs={"web": [(3, 137)]})
    w.run(10)
    [ended] = w.seen.containers["web"]
    w.seen = replace(w.seen, containers={"web": [replace(ended, oom_killed=True, signal=9)]})
    state = w.status()["containerStatuses"][0]["state"]["terminated"]
    assert (state["reason"], state["exitCode"], state["signal"]) == ("OOMKilled", 137, 9)


def test_a_deleted_pod_ends_failed_when_a_container_had_to_be_stopped(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    w.run(1)
    w.delete()
    w.run(1)
    found = w.status()
    assert found["phase"] == "Failed"
    assert found["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143


def test_a_container_that_vanished_with_its_machine_is_told_as_unknown(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    entry = {"name": "web", "restartCount": 1, "containerID": "panal://x", "imageID": "i", "state": running}
    w.pod["status"]["containerStatuses"] = [entry]
    w.delete()
    only = w.status()["containerStatuses"][0]
    assert only["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert only["state"]["terminated"]["exitCode"] == 137


def test_a_readiness_gate_holds_the_pod_back_until_somebody_opens_it(world: Any, pod: Any) -> None:
    w = world(pod("web", readinessGates=[{"conditionType": "example.com/ok"}]))
    w.settle()
    missing = 'corresponding condition of pod readiness gate "example.com/ok" does not exist.'
    assert condition(w.status(), "Ready") == ("False", "ReadinessGatesNotReady", missing)
    gate = {"type": "example.com/ok", "status": "True"}
    found = w.status(conditions=[gate])
    assert condition(found, "Ready") == ("True", "", "")
    assert found["conditions"][0] == gate


def test_times_change_only_with_what_they_tell(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    w.settle()
    before = w.status()
    w.now += 100
    assert w.status(**before) == before
    assert changes(w.status(**before), before) is None


def test_the_patch_holds_what_differs_and_takes_back_what_went() -> None:
    old = {
        "phase": "Running",
        "reason": "Old",
        "conditions": [{"type": "Ready", "status": "False", "reason": "X", "lastProbeTime": None}, {"type": "Other"}],
        "podIPs": [{"ip": "10.0.0.1"}],
    }
    new = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "podIPs": [{"ip": "10.0.0.2"}]}
    assert changes(new, old) == {
        "conditions": [{"type": "Ready", "status": "True", "reason": None, "lastProbeTime": None}],
        "podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}],
        "reason": None,
    }


def test_the_class_of_service_follows_requests_and_limits(pod: Any) -> None:
    both = {"cpu": "1", "memory": "1Gi"}
    assert qos_class(pod("web")) == "BestEffort"
    assert qos_class(pod({"name": "web", "resources": {"requests": {"cpu": "1"}}})) == "Burstable"
    assert qos_class(pod({"name": "web", "resources": {"limits": both}})) == "Guaranteed"
