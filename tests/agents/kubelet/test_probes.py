"""When a probe is made and what its results come to."""

from __future__ import annotations

from typing import Any

import pytest

from panal.agents.kubelet.probes import Probe, State, first, following, fresh, probe_of, result, skipped


def tries(probe: Probe, answers: Any, until: float) -> tuple[list[tuple[float, bool]], State]:
    """Probe from time 0 on; `answers(at)` says how each try goes, at no cost of time."""
    state, made, due = fresh(probe), [], first(probe, 0)
    while due.at <= until:
        made.append((round(due.at, 3), due.counted))
        state = result(probe, state, due, answers(due.at), 0, due.at)
        due = following(probe, state, 0, due.at)
    return made, state


def probe(kind: Any = "readiness", **spec: int) -> Probe:
    found = probe_of({f"{kind}Probe": {"tcpSocket": {"port": 1}, **spec}}, kind)
    assert found is not None
    return found


def test_a_container_that_is_up_after_200_ms_is_ready_soon_after(pod: Any) -> None:
    made, state = tries(probe(periodSeconds=10), lambda at: at > 0.2, 25)
    assert made == [(0, True), (0.05, False), (0.125, False), (0.238, False), (10, True), (20, True)]
    assert state.result is True


def test_early_tries_end_with_the_first_period(pod: Any) -> None:
    made, state = tries(probe(periodSeconds=1), lambda at: False, 4)
    early = [(0.05, False), (0.125, False), (0.238, False), (0.406, False), (0.659, False)]
    assert made == [(0, True), *early, (1, True), (2, True), (3, True), (4, True)]
    assert state.result is False


def test_only_whole_periods_count_against_a_container() -> None:
    def failing(until: float) -> State:
        return tries(probe("startup", failureThreshold=2, periodSeconds=5), lambda at: False, until)[1]

    assert failing(9.9).result is None
    assert failing(10).result is False


def test_a_slow_application_has_ten_seconds_and_five_periods_and_fails_at_the_sixtieth() -> None:
    slow = probe("startup", initialDelaySeconds=10, periodSeconds=10, failureThreshold=5)
    made, state = tries(slow, lambda at: False, 59.9)
    assert [at for at, counted in made if counted] == [20, 30, 40, 50]
    assert state.result is None
    made, state = tries(slow, lambda at: False, 60)
    assert made[-1] == (60, True)
    assert state.result is False
    assert tries(slow, lambda at: at > 55, 60)[1].result is True


def test_a_startup_probe_passes_as_soon_as_the_program_is_up() -> None:
    made, state = tries(probe("startup", periodSeconds=10), lambda at: at > 0.2, 5)
    assert [at for at, _ in made] == [0, 0.05, 0.125, 0.238]
    assert state.result is True


def test_a_try_that_said_nothing_takes_its_turn_and_changes_nothing() -> None:
    lively = probe("liveness", failureThreshold=1)
    state = skipped(lively, State(), first(lively, 0), 0, 0)
    assert state.result is None
    assert following(lively, state, 0, 0).at == 10


def test_liveness_begins_after_its_delay_and_fails_at_its_threshold() -> None:
    lively = probe("liveness", initialDelaySeconds=3, periodSeconds=10, failureThreshold=3)
    made, state = tries(lively, lambda at: at < 10, 34)
    assert made == [(3, True), (13, True), (23, True), (33, True)]
    assert state.result is False
    assert tries(lively, lambda at: at < 20, 34)[1].result is True


def test_readiness_returns_after_as_many_successes_as_it_asks_for() -> None:
    def standing(until: float) -> bool | None:
        asked = probe(successThreshold=2, failureThreshold=1, periodSeconds=1)
        return tries(asked, lambda at: not 5 <= at < 8, until)[1].result

    assert [standing(at) for at in (4, 5, 8, 9)] == [True, False, False, True]


def test_a_slow_try_skips_periods_instead_of_making_up_for_them() -> None:
    slow = probe("liveness", periodSeconds=1)
    state = result(slow, State(), first(slow, 0), True, 0, 7.5)
    assert following(slow, state, 0, 7.5).at == 8


@pytest.mark.parametrize("kind", ["startup", "readiness", "liveness"])
def test_no_probe_is_no_probe(kind: Any) -> None:
    assert probe_of({"name": "web"}, kind) is None
