"""The words of `panal node`: what is hidden, what is moved, what a node's state is called."""

from __future__ import annotations

from typing import Any

import pytest

from panal.command.node.join import without_token
from panal.command.node.members import is_movable, state


@pytest.mark.parametrize(
    ("words", "kept", "token"),
    [
        (["node", "join", "a", "--token", "T", "--name", "x"], ["node", "join", "a", "--name", "x"], "T"),
        (["node", "join", "--token=T", "a"], ["node", "join", "a"], "T"),
        (["node", "join", "a", "--token-file", "f"], ["node", "join", "a", "--token-file", "f"], None),
    ],
)
def test_a_token_is_taken_off_the_command_line(words: list[str], kept: list[str], token: str | None):
    assert without_token(words) == (kept, token)


def pod(**more: Any) -> dict[str, Any]:
    return {"metadata": more, "status": {"phase": "Running"}}


def test_only_pods_that_would_run_elsewhere_are_evicted():
    assert is_movable(pod(name="a"))
    assert not is_movable(pod(ownerReferences=[{"kind": "DaemonSet", "controller": True}]))
    assert not is_movable(pod(annotations={"kubernetes.io/config.mirror": "x"}))
    assert not is_movable({"metadata": {}, "status": {"phase": "Succeeded"}})


def test_a_silent_node_says_since_when():
    ready = {"type": "Ready", "status": "Unknown", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    assert state({"spec": {}, "status": {"conditions": [ready]}}) == "silent since 2026-01-01T00:00:00Z"
    assert state({"spec": {"unschedulable": True}, "status": {"conditions": [{**ready, "status": "True"}]}}) == (
        "Ready,SchedulingDisabled"
    )
    assert state({"spec": {}}) == "NotReady"
