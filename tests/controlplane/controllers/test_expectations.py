from __future__ import annotations

from panal.controlplane.controllers.expectations import TIMEOUT, Expectations


def test_nothing_is_done_twice_while_creations_are_outstanding() -> None:
    expectations: Expectations[str] = Expectations()
    expectations.expect("web", 0.0, creations=2)
    assert not expectations.satisfied("web", 1.0)
    expectations.created("web")
    assert not expectations.satisfied("web", 1.0)
    expectations.created("web")
    assert expectations.satisfied("web", 1.0)


def test_a_deletion_is_outstanding_until_that_very_pod_is_gone() -> None:
    expectations: Expectations[str] = Expectations()
    expectations.expect("web", 0.0, deletions=["x", "y"])
    expectations.deleted("web", "x")
    expectations.deleted("web", "x")
    expectations.deleted("web", "other")
    assert not expectations.satisfied("web", 1.0)
    expectations.deleted("web", "y")
    assert expectations.satisfied("web", 1.0)


def test_a_lost_event_blocks_nothing_for_ever() -> None:
    expectations: Expectations[str] = Expectations()
    expectations.expect("web", 0.0, creations=1)
    assert not expectations.satisfied("web", TIMEOUT)
    assert expectations.satisfied("web", TIMEOUT + 1)


def test_events_of_strangers_change_nothing() -> None:
    expectations: Expectations[str] = Expectations()
    expectations.created("unknown")
    expectations.deleted("unknown", "x")
    expectations.expect("web", 0.0, creations=1)
    expectations.forget("web")
    assert expectations.satisfied("web", 0.0)
