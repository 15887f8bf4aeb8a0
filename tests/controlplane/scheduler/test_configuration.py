"""KubeSchedulerConfiguration: profiles by name, plugins on and off, and a word for what is not understood."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from panal.controlplane.scheduler import steps
from panal.controlplane.scheduler.__main__ import main
from panal.controlplane.scheduler.configuration import KIND, VERSION, Configuration, parse, read
from panal.controlplane.scheduler.decide import Placed, message, schedule
from panal.controlplane.scheduler.plugins import FILTERS, SCORES
from panal.controlplane.scheduler.profiles import Profile

HEAD = {"apiVersion": VERSION, "kind": KIND}


def configured(*profiles: Any, **more: Any) -> Configuration:
    return parse({"apiVersion": VERSION, "kind": KIND, "profiles": list(profiles), **more})


def place(pod: Any, snapshot: Any, found: Configuration) -> str:
    profile = found.profiles[0]
    outcome = schedule(pod, snapshot, random.Random(1), profile.filters, profile.scores)
    return outcome.node if isinstance(outcome, Placed) else message(outcome)


def test_without_profiles_there_is_the_default_one(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(f"apiVersion: {VERSION}\nkind: {KIND}\npodMaxBackoffSeconds: 3\n")
    found = read(str(file))
    assert [(item.name, item.filters, item.scores) for item in found.profiles] == [
        ("default-scheduler", FILTERS, SCORES)
    ]
    assert (found.backoff_first, found.backoff_most) == (1.0, 3.0)


def test_a_filter_that_is_off_refuses_nothing(node: Any, pod: Any, snapshot: Any) -> None:
    off = {"filter": {"disabled": [{"name": "NodeResourcesFit"}]}}
    cluster = snapshot(node("a", cpu="1"))
    assert place(pod(cpu="2"), cluster, configured({"plugins": off})) == "a"
    assert place(pod(cpu="2"), cluster, configured({})).startswith("0/1 nodes are available: 1 Insufficient cpu.")


def test_weights_and_all_but_one_plugin(node: Any, pod: Any, snapshot: Any) -> None:
    scores = {"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 9}]}
    found = configured({"plugins": {"score": scores}}).profiles[0]
    assert [(item.name, item.weight) for item in found.scores] == [("ImageLocality", 9)]
    assert found.filters == FILTERS


def test_most_allocated_packs_pods_together(node: Any, pod: Any, snapshot: Any) -> None:
    strategy = {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
    cluster = snapshot(node("busy", pod("x", cpu="2", memory="4Gi")), node("idle"))
    assert place(pod(cpu="1", memory="2Gi"), cluster, configured({"pluginConfig": [strategy]})) == "busy"
    assert place(pod(cpu="1", memory="2Gi"), cluster, configured({})) == "idle"


def test_an_added_affinity_binds_every_pod_of_the_profile(node: Any, pod: Any, snapshot: Any) -> None:
    terms = [{"matchExpressions": [{"key": "team", "operator": "In", "values": ["red"]}]}]
    added = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = configured({"pluginConfig": [{"name": "NodeAffinity", "args": {"addedAffinity": added}}]})
    assert place(pod(), snapshot(node("a"), node("b", labels={"team": "red"})), found) == "b"
    said = place(pod(), snapshot(node("a")), found)
    assert said.startswith("0/1 nodes are available: 1 node(s) didn't match scheduler-enforced node affinity.")


def test_steps_are_turned_off_by_their_names() -> None:
    off = {"disabled": [{"name": "*"}]}
    (found,) = configured({"plugins": {"postFilter": off, "reserve": off, "preBind": off}}).profiles
    assert (found.post_filters, found.reserves, found.pre_binds) == ((), (), ())
    assert (found.queue_sort, found.binds) == (steps.QUEUE_SORT, steps.BINDS)
    (without,) = configured({"plugins": {"multiPoint": {"disabled": [{"name": "VolumeBinding"}]}}}).profiles
    assert "VolumeBinding" not in {item.name for item in (*without.filters, *without.reserves, *without.pre_binds)}
    assert configured({"plugins": {"preEnqueue": {"enabled": [{"name": "SchedulingGates"}]}}}).profiles == (Profile(),)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"apiVersion": VERSION, "kind": "Pod"}, f"no {KIND} of {VERSION}"),
        ({"apiVersion": VERSION, "kind": KIND, "extenders": []}, "extenders: not supported"),
        (
            {"apiVersion": VERSION, "kind": KIND, "profiles": [{}, {}]},
            'profiles[1].schedulerName: Duplicate value: "default-scheduler"',
        ),
        (
            {
                "apiVersion": VERSION,
                "kind": KIND,
                "profiles": [{"plugins": {"filter": {"disabled": [{"name": "No"}]}}}],
            },
            'profiles[0].plugins.filter: plugin "No" does not exist',
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"bind": {"disabled": [{"name": "*"}]}}}]},
            'profiles[0].plugins: at least one bind plugin is needed for profile "default-scheduler"',
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"preEnqueue": {"disabled": [{"name": "SchedulingGates"}]}}}]},
            'profiles[0].plugins.preEnqueue: plugin "SchedulingGates" cannot be disabled',
        ),
        (
            {**HEAD, "profiles": [{"plugins": {"permit": {"enabled": [{"name": "DefaultBinder"}]}}}]},
            'profiles[0].plugins.permit: plugin "DefaultBinder" does not exist',
        ),
        (
            {**HEAD, "profiles": [{"pluginConfig": [{"name": "X", "args": {"a": 1}}]}]},
            "profiles[0].pluginConfig[0]: arguments of X are not supported",
        ),
    ],
)
def test_what_is_not_understood_is_named(found: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(found)


def test_the_program_names_what_it_does_not_understand_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(f"apiVersion: {VERSION}\nkind: {KIND}\nextenders: []\n")
    assert main([f"--kubeconfig={tmp_path}/none", f"--config={file}"]) == 1
    assert capsys.readouterr().err.endswith("kube-scheduler: extenders: not supported\n")
