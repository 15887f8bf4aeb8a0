"""Stories of how an explanation is shown."""

from __future__ import annotations

from typing import Any

from panal.command.schedule import conclusion, heading, lines


def _filter(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "asked": True, "passes": True, "reasons": [], "facts": [], "final": False, **changes}


def test_a_refusal_is_followed_by_its_numbers_and_a_filter_without_a_question_shows_a_dash() -> None:
    fact = "cpu: the node has 4, 3 committed, the pod asks 2"
    fit = _filter("NodeResourcesFit", passes=False, reasons=["Insufficient cpu"], facts=[fact])
    node = {"name": "a", "feasible": False, "total": None, "scores": [], "filters": [_filter("P", asked=False), fit]}
    assert lines({"nodes": [node]}) == [
        ("a", "refused", ""),
        ("  filter P", "-", ""),
        ("  filter NodeResourcesFit", "refuses", "Insufficient cpu"),
        ("", "", fact),
    ]


def test_the_winner_is_named_with_its_points() -> None:
    score = {"name": "NodeResourcesFit", "score": 32, "weight": 2, "points": 64}
    node = {"name": "a", "feasible": True, "total": 64, "scores": [score], "filters": []}
    found = {"nodes": [node], "best": ["a"], "message": None, "gates": [], "preemption": None}
    assert lines(found)[-1] == ("  score NodeResourcesFit", "64", "32 x 2 = 64")
    assert conclusion(found) == "Best now: a with 64 points."
    assert conclusion({**found, "best": ["a", "b"]}).endswith("; one of them is drawn.")


def test_what_waits_says_for_what() -> None:
    pod = {"namespace": "default", "name": "web", "node": None}
    assert heading({"pod": pod}) == "default/web has no node.\n"
    gated = {"gates": ["example.com/wait"], "message": None}
    assert conclusion(gated) == "It is not tried before its scheduling gates are gone: example.com/wait."
    pushed = {"gates": [], "message": "0/1 ...", "preemption": {"node": "a", "victims": ["default/low"]}}
    assert conclusion(pushed) == "0/1 ...\nIt pushes out default/low on a."
