"""Stories of pods that make room for more important ones."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from panal.controlplane.scheduler.decide import Refused, schedule
from panal.controlplane.scheduler.preempt import Preemption, is_under_way, preempt


def pushed(pod: Any, snapshot: Any) -> tuple[str, list[str]] | None:
    outcome = schedule(pod, snapshot, random.Random(1))
    assert isinstance(outcome, Refused)
    found = preempt(pod, snapshot, outcome)
    return (found.node, [victim.name for victim in found.victims]) if isinstance(found, Preemption) else None


def important(pod: Any, name: str, priority: int, **more: Any) -> Any:
    return replace(pod(name, **more), priority=priority)


def test_only_as_many_as_needed_leave_and_the_least_important(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", important(pod, "low", 1, cpu="2"), important(pod, "mid", 5, cpu="2")))
    assert pushed(important(pod, "top", 9, cpu="2"), cluster) == ("a", ["low"])
    assert pushed(important(pod, "top", 9, cpu="3"), cluster) == ("a", ["mid", "low"])


def test_the_node_with_the_least_important_victims_is_chosen(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", important(pod, "mid", 5, cpu="4")), node("b", important(pod, "low", 1, cpu="4")))
    assert pushed(important(pod, "top", 9, cpu="1"), cluster) == ("b", ["low"])


def test_equals_are_not_pushed_out_and_the_polite_push_nobody(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", important(pod, "same", 9, cpu="4")))
    assert pushed(important(pod, "top", 9, cpu="1"), cluster) is None
    cluster = snapshot(node("a", important(pod, "low", 1, cpu="4")))
    assert pushed(important(pod, "top", 9, cpu="1", preemptionPolicy="Never"), cluster) is None


def test_nobody_leaves_where_it_would_not_help(node: Any, pod: Any, snapshot: Any) -> None:
    low = important(pod, "low", 1, cpu="4")
    assert pushed(important(pod, "top", 9, cpu="8"), snapshot(node("a", low))) is None
    tainted = node("a", low, taints=["x=:NoSchedule"])
    assert pushed(important(pod, "top", 9, cpu="1"), snapshot(tainted)) is None


def test_while_the_victims_are_leaving_nobody_else_has_to(node: Any, pod: Any, snapshot: Any) -> None:
    leaving = replace(important(pod, "low", 1, cpu="4"), deleting=True)
    cluster = snapshot(node("a", leaving))
    top = important(pod, "top", 9, cpu="1")
    assert not is_under_way(top, cluster)
    promised = replace(top, obj={**top.obj, "status": {"nominatedNodeName": "a"}})
    assert is_under_way(promised, cluster)


def budget(labels: dict[str, str], allowed: int) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": "budget"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


def test_those_that_a_budget_protects_stay_where_others_can_go(node: Any, pod: Any, snapshot: Any) -> None:
    guarded = important(pod, "guarded", 1, cpu="2", labels={"app": "db"})
    free = important(pod, "free", 5, cpu="2")
    top = important(pod, "top", 9, cpu="2")
    cluster = snapshot(node("a", guarded, free))
    assert pushed(top, cluster) == ("a", ["guarded"]), "without a budget the least important goes"
    assert pushed(top, replace(cluster, budgets=(budget({"app": "db"}, 0),))) == ("a", ["free"])
    assert pushed(top, replace(cluster, budgets=(budget({"app": "db"}, 1),))) == ("a", ["guarded"])


def test_a_node_where_no_budget_is_broken_is_preferred_and_else_budgets_give_way(
    node: Any, pod: Any, snapshot: Any
) -> None:
    guarded = important(pod, "guarded", 1, cpu="4", labels={"app": "db"})
    free = important(pod, "free", 5, cpu="4")
    top = important(pod, "top", 9, cpu="2")
    protected = (budget({"app": "db"}, 0),)
    assert pushed(top, replace(snapshot(node("a", guarded), node("b", free)), budgets=protected)) == ("b", ["free"])
    assert pushed(top, replace(snapshot(node("a", guarded)), budgets=protected)) == ("a", ["guarded"])
