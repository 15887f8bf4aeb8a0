"""What holds whatever happens: pods of any shape, events in any order, virtual time."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from panal.agents.kubelet.decide import must_end

lives = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 2)), max_size=6)
events = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.floats(0, 400)),
        st.tuples(st.just("exit"), st.sampled_from(["web", "logger", "setup", "proxy"])),
        st.tuples(st.just("liveness"), st.sampled_from(["web", "proxy"])),
        st.tuples(st.just("lose sandbox"), st.none()),
        st.tuples(st.just("image"), st.sampled_from(["web", "logger"])),
    ),
    max_size=8,
)
ordinary = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def play(w: Any, steps: list[tuple[str, Any]]) -> None:
    for kind, argument in steps:
        match kind:
            case "run":
                w.run(argument)
            case "exit":
                w.exit(argument, 1)
            case "liveness":
                w.fail_probe(argument, "liveness")
            case "lose sandbox" if w.seen.sandbox is not None and not w.seen.busy:
                w.lose_sandbox()
            case "image":
                w.pod["spec"]["containers"][0]["image"] += "x"


def shape(pod: Any, policy: str, init: bool) -> dict[str, Any]:
    inits = ("setup", {"name": "proxy", "restartPolicy": "Always"}) if init else ()
    return pod("web", "logger", init=inits, restartPolicy=policy)


@ordinary
@given(
    policy=st.sampled_from(["Always", "OnFailure", "Never"]), init=st.booleans(), steps=events, web=lives, setup=lives
)
@pytest.mark.parametrize("how", ["delete", "remove"])
def test_a_deleted_pod_always_ends_and_starts_nothing_more(
    world: Any, pod: Any, how: str, policy: str, init: bool, steps: Any, web: Any, setup: Any
) -> None:
    w = world(shape(pod, policy, init), runs={"web": web, "setup": setup})
    play(w, steps)
    getattr(w, how)()
    w.told()
    w.run(120)
    assert w.finished
    assert not [line for line in w.told() if line.startswith(("start", "sandbox", "volumes"))]


@ordinary
@given(init=st.booleans(), steps=events, web=lives, setup=lives)
def test_a_pod_that_is_always_restarted_runs_in_the_end(
    world: Any, pod: Any, init: bool, steps: Any, web: Any, setup: Any
) -> None:
    w = world(shape(pod, "Always", init), runs={"web": web, "setup": setup + [(1, 0)] * 50})
    play(w, steps)
    w.run(4000)
    assert not must_end(w.pod, w.seen, w.now)
    running = {item.config.name for item in w.seen.running()}
    assert running == ({"web", "logger", "proxy"} if init else {"web", "logger"})
    found = w.status()
    assert found["phase"] == "Running"
    assert {item["type"]: item["status"] for item in found["conditions"]}["Ready"] == "True"


@ordinary
@given(policy=st.sampled_from(["OnFailure", "Never"]), steps=events)
def test_a_terminal_phase_is_final(world: Any, pod: Any, policy: str, steps: Any) -> None:
    w = world(shape(pod, policy, False), runs={"web": [(1, 0)] * 9, "logger": [(2, 0)] * 9})
    w.run(10)
    found = w.status()
    assert found["phase"] == "Succeeded"
    w.pod["status"] = found
    w.told()
    play(w, [step for step in steps if step[0] != "liveness"])
    w.run(600)
    assert not [line for line in w.told() if line.startswith(("start", "sandbox"))]
    assert w.status(**found)["phase"] == "Succeeded"
