from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.disruption.decide import needs_scale, new_status

NOW = 1_700_000_000.0


def budget(status: Any = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "b", "generation": 1}, "spec": spec, "status": status or {}}


def pods(ready: int, unready: int = 0) -> list[dict[str, Any]]:
    states = ["True"] * ready + ["False"] * unready

    def status(state: str) -> dict[str, Any]:
        return {"phase": "Running", "conditions": [{"type": "Ready", "status": state}]}

    return [{"metadata": {"name": f"p{number}"}, "status": status(state)} for number, state in enumerate(states)]


def counts(status: dict[str, Any]) -> tuple[int, ...]:
    return tuple(status[field] for field in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"))


def test_what_exceeds_the_minimum_may_go() -> None:
    assert counts(new_status(budget(minAvailable=2), pods(3), 0, NOW)) == (1, 3, 2, 3)
    assert counts(new_status(budget(minAvailable=2), pods(2, 1), 0, NOW)) == (0, 2, 2, 3)


def test_the_maximum_counts_from_what_the_controllers_want() -> None:
    assert needs_scale(budget(maxUnavailable=1))
    assert counts(new_status(budget(maxUnavailable=1), pods(3), 4, NOW)) == (0, 3, 3, 4)
    assert counts(new_status(budget(maxUnavailable="50%"), pods(4), 4, NOW)) == (2, 4, 2, 4)


def test_an_eviction_that_was_granted_counts_until_it_shows_or_times_out() -> None:
    granted = {"disruptedPods": {"p0": "2023-11-14T22:13:00Z"}}
    assert counts(new_status(budget(granted, minAvailable=2), pods(3), 0, NOW)) == (0, 2, 2, 3)
    late = new_status(budget(granted, minAvailable=2), pods(3), 0, NOW + 120)
    assert counts(late) == (1, 3, 2, 3)
    assert "disruptedPods" not in late


def test_the_condition_says_whether_pods_may_go() -> None:
    status = new_status(budget(minAvailable=1), pods(2), 0, NOW)
    assert (status["conditions"][0]["status"], status["conditions"][0]["reason"]) == ("True", "SufficientPods")
    assert new_status(budget(status, minAvailable=1), pods(2), 0, NOW + 9) == status
