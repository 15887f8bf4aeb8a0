"""Stories of pods, from their first second to their end; each shows everything that was done."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

SURROUNDINGS = ["volumes", "sandbox 0"]


def test_a_pod_gets_its_volumes_and_sandbox_and_then_its_containers_in_order(world: Any, pod: Any) -> None:
    w = world(pod("web", "logger"))
    w.settle()
    assert w.told() == [*SURROUNDINGS, "start web", "start logger"]
    w.run(3600)
    assert w.told() == []


def test_init_containers_run_one_after_the_other_before_the_containers(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("first", "second")), runs={"first": [(5, 0)], "second": [(5, 0)]})
    w.run(1)
    assert w.told() == [*SURROUNDINGS, "start first"]
    w.run(5)
    assert w.told() == ["start second"]
    w.run(5)
    assert w.told() == ["start web"]


def test_a_failing_init_container_is_tried_again_with_back_off(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("setup",)), runs={"setup": [(1, 1), (1, 1), (1, 0)]})
    w.run(60)
    assert w.told() == [
        *SURROUNDINGS,
        "start setup",
        "start setup #1",
        "back-off setup (crash)",
        "start setup #2",
        "start web",
    ]


def test_a_pod_that_is_never_restarted_fails_with_its_init_container(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("setup",), restartPolicy="Never"), runs={"setup": [(1, 3)]})
    w.run(60)
    assert w.told() == [*SURROUNDINGS, "start setup", "stop sandbox"]
    assert w.status()["phase"] == "Failed"


def test_a_sidecar_must_have_started_before_what_comes_after_it(world: Any, pod: Any) -> None:
    sidecar = {"name": "proxy", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}}}
    w = world(pod("web", init=(sidecar, "setup")), runs={"setup": [(1, 0)]})
    w.run(20)
    assert w.told() == [*SURROUNDINGS, "start proxy"]
    w.pass_startup("proxy")
    w.run(20)
    assert w.told() == ["start setup", "start web"]


def test_a_sidecar_is_restarted_beside_the_containers_and_stopped_after_them(world: Any, pod: Any) -> None:
    sidecars = tuple({"name": name, "restartPolicy": "Always"} for name in ("first", "second"))
    w = world(pod("web", init=sidecars, restartPolicy="Never"), runs={"first": [(5, 1)], "web": [(100, 0)]})
    w.run(50)
    assert w.told() == [*SURROUNDINGS, "start first", "start second", "start web", "start first #1"]
    w.run(60)
    assert w.told() == [
        "kill second (30s): Stopping container second",
        "kill first (30s): Stopping container first",
        "stop sandbox",
    ]
    assert w.status()["phase"] == "Succeeded"


def test_a_crashing_container_is_restarted_at_once_then_after_10_20_40_seconds_up_to_300(world: Any, pod: Any) -> None:
    w = world(pod("web"), runs={"web": [(0, 1)] * 12})
    w.run(2200)
    gaps = [round(after - before) for before, after in itertools.pairwise(w.started_at["web"])]
    assert gaps[:10] == [0, 10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_ten_quiet_minutes_make_the_back_off_begin_anew(world: Any, pod: Any) -> None:
    w = world(pod("web"), runs={"web": [(0, 1), (0, 1), (700, 1), (0, 1)]})
    w.run(11)
    assert w.told().count("back-off web (crash)") == 1
    w.run(700)
    assert w.told() == ["start web #3", "back-off web (crash)"]
    assert "back-off 10s restarting" in w.status()["containerStatuses"][0]["state"]["waiting"]["message"]


@pytest.mark.parametrize(
    ("policy", "code", "restarted"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_the_restart_policy_says_who_runs_again(world: Any, pod: Any, policy: str, code: int, restarted: bool) -> None:
    w = world(pod("web", restartPolicy=policy), runs={"web": [(1, code)]})
    w.run(5)
    assert w.told() == [*SURROUNDINGS, "start web", "start web #1" if restarted else "stop sandbox"]


def test_a_deleted_pod_is_stopped_and_then_gone(world: Any, pod: Any) -> None:
    w = world(pod("web", "logger"))
    w.run(5)
    w.told()
    w.delete(grace=7)
    w.run(60)
    assert w.told() == [
        "kill web (7s): Stopping container web",
        "kill logger (7s): Stopping container logger",
        "stop sandbox",
        "finish",
    ]


def test_a_pod_deleted_before_it_began_is_gone_at_once(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    w.delete()
    w.settle()
    assert w.told() == ["finish"]


def test_a_pod_deleted_while_starting_is_stopped_not_restarted(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("setup",)), runs={"setup": [(10, 1)]})
    w.run(5)
    w.told()
    w.delete()
    w.run(60)
    assert w.told() == ["kill setup (30s): Stopping container setup", "stop sandbox", "finish"]


def test_a_second_deletion_with_less_grace_shortens_the_first(world: Any, pod: Any) -> None:
    w = world(pod("web"), obedient=False)
    w.run(5)
    w.delete(grace=600)
    w.run(5)
    w.told()
    w.delete(grace=0)
    w.run(5)
    assert w.told() == ["kill web (1s): Stopping container web", "stop sandbox", "finish"]


def test_a_pod_removed_by_force_is_ended_too(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    w.run(5)
    w.told()
    w.remove()
    w.run(60)
    assert w.told() == ["kill web (30s): Stopping container web", "stop sandbox", "finish"]


def test_a_lost_sandbox_is_made_again_with_all_that_was_in_it(world: Any, pod: Any) -> None:
    w = world(pod("web", init=("setup",)), runs={"setup": [(0, 0), (0, 0)]})
    w.run(5)
    w.told()
    w.lose_sandbox()
    w.run(60)
    assert w.told() == ["sandbox 1", "start setup #1", "start web #1"]


def test_a_completed_pod_does_not_come_back_when_its_sandbox_is_lost(world: Any, pod: Any) -> None:
    w = world(pod("web", restartPolicy="OnFailure"), runs={"web": [(1, 0)]})
    w.run(5)
    w.told()
    w.run(600)
    assert w.told() == []
    assert w.status()["phase"] == "Succeeded"


def test_a_container_that_fails_its_liveness_probe_is_killed_and_restarted(world: Any, pod: Any) -> None:
    w = world(pod({"name": "web", "livenessProbe": {"terminationGracePeriodSeconds": 3}}))
    w.run(5)
    w.told()
    w.fail_probe("web", "liveness")
    w.run(5)
    assert w.told() == ["kill web (3s): Container web failed liveness probe, will be restarted", "start web #1"]


def test_a_changed_image_replaces_the_container_alone(world: Any, pod: Any) -> None:
    w = world(pod("web", "logger"))
    w.run(5)
    w.told()
    w.pod["spec"]["containers"][0]["image"] = "busybox:2"
    w.run(5)
    assert w.told() == ["kill web (30s): Container web definition changed, will be restarted", "start web #1"]


def test_an_image_that_cannot_be_pulled_is_told_and_tried_again_in_its_time(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    w.failure("web", "ErrImagePull", "no such image", 10)
    w.settle()
    waiting = w.status()["containerStatuses"][0]["state"]["waiting"]
    assert (waiting["reason"], waiting["message"]) == ("ErrImagePull", "no such image")
    w.run(5)
    assert w.told() == [*SURROUNDINGS, "back-off web (image)"]
    assert w.status()["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"
    w.run(6)
    assert w.told() == ["start web"]


def test_a_pod_past_its_deadline_fails(world: Any, pod: Any) -> None:
    w = world(pod("web", activeDeadlineSeconds=30))
    w.run(29)
    w.told()
    w.run(5)
    assert w.told() == ["kill web (30s): Stopping container web", "stop sandbox"]
    found = w.status()
    assert (found["phase"], found["reason"]) == ("Failed", "DeadlineExceeded")


def test_the_restart_count_goes_on_where_the_api_had_it(world: Any, pod: Any) -> None:
    w = world(pod("web"))
    entry = {"name": "web", "restartCount": 4, "containerID": "panal://old", "state": {"running": {}}}
    w.pod["status"]["containerStatuses"] = [entry]
    w.settle()
    assert w.told() == [*SURROUNDINGS, "start web #5"]


def test_only_the_last_two_attempts_are_kept(world: Any, pod: Any) -> None:
    w = world(pod("web"), runs={"web": [(0, 1)] * 5})
    w.run(200)
    assert [item.config.attempt for item in w.seen.containers["web"]] == [4, 5]


def test_a_guest_is_started_once_and_counts_for_nothing(world: Any, pod: Any) -> None:
    guested = pod("web", restartPolicy="Never", ephemeralContainers=[{"name": "debug", "image": "busybox"}])
    here = world(guested, runs={"web": [(30, 0)], "debug": [(10, 3)]})
    here.run(20)
    assert here.told() == ["volumes", "sandbox 0", "start debug", "start web"]
    status = here.status()
    [guest] = status["ephemeralContainerStatuses"]
    assert (guest["state"]["terminated"]["exitCode"], guest["ready"], "started" in guest) == (3, False, False)
    assert (status["phase"], len(status["containerStatuses"])) == ("Running", 1)
    here.run(20)
    assert "start debug" not in here.told()
    assert here.status()["phase"] == "Succeeded"


def test_a_guest_that_still_runs_does_not_keep_a_pod_that_is_done(world: Any, pod: Any) -> None:
    guested = pod("web", restartPolicy="Never", ephemeralContainers=[{"name": "debug", "image": "busybox"}])
    here = world(guested, runs={"web": [(5, 0)]})
    here.run(10)
    assert "kill debug (30s): Stopping container debug" in here.told()
    assert here.status()["phase"] == "Succeeded"


def test_a_failed_start_is_shown_before_its_back_off(world: Any, pod: Any) -> None:
    here = world(pod("web"), runs={"web": [(0, 128)] * 5})
    here.run(0)
    here.failure("web", "RunContainerError", "no such program", 0)
    here.run(1)
    assert here.status()["containerStatuses"][0]["state"]["waiting"]["reason"] == "RunContainerError"
    here.run(3)
    assert here.status()["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
