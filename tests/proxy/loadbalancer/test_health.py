"""What it takes to believe that a node's port is up or down: pure."""

from __future__ import annotations

from panal.proxy.loadbalancer.health import FAST_INTERVAL, INTERVAL, Health


def after(*answers: bool) -> Health:
    health = Health()
    for answer in answers:
        health = health.observed(answer)
    return health


def test_unknown_is_usable_and_the_first_answer_counts() -> None:
    assert Health().usable
    assert after(True).usable
    assert not after(False).usable


def test_one_bad_answer_is_doubted_and_asked_again_soon() -> None:
    assert after(True, False).usable
    assert after(True, False).interval == FAST_INTERVAL
    assert not after(True, False, False).usable
    assert after(True, False, True, False).usable
    assert after(True).interval == INTERVAL


def test_coming_back_takes_two_good_answers() -> None:
    assert not after(False, True).usable
    assert after(False, True, True).usable


def test_a_clients_failed_connection_is_believed_at_once() -> None:
    assert not after(True).failed().usable
    assert after(True).failed().observed(True).observed(True).usable
