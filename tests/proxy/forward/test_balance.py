"""Whose turn it is: pure, on a clock of the test's own."""

from __future__ import annotations

from panal.proxy.forward import balance
from panal.proxy.forward.balance import Backends, Balancer

A, B, C = ("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.3", 80)


def test_each_in_turn_then_the_others_to_fall_back_on() -> None:
    balancer = Balancer(Backends((A, B, C)))
    assert [tuple(balancer.choices("c", 0.0)) for _ in range(4)] == [(A, B, C), (B, C, A), (C, A, B), (A, B, C)]


def test_the_turn_goes_on_when_endpoints_change() -> None:
    balancer = Balancer(Backends((A, B)))
    balancer.choices("c", 0.0)
    balancer.update(Backends((A, B, C)))
    assert balancer.choices("c", 0.0)[0] == B
    balancer.update(Backends(()))
    assert balancer.choices("c", 0.0) == ()


def test_affinity_lasts_while_the_client_keeps_coming() -> None:
    balancer = Balancer(Backends((A, B), affinity_seconds=10))
    balancer.settled("c", balancer.choices("c", 0.0)[0], 0.0)
    assert balancer.choices("c", 9.0)[0] == A
    balancer.settled("c", A, 9.0)
    assert balancer.choices("c", 18.0)[0] == A
    assert balancer.choices("c", 20.0)[0] == B
    balancer.settled("c", B, 20.0)
    balancer.update(Backends((A,), affinity_seconds=10))
    assert balancer.choices("c", 21.0)[0] == A


def test_remembered_clients_are_bounded() -> None:
    balancer = Balancer(Backends((A,), affinity_seconds=10))
    for number in range(balance.CLIENTS_REMEMBERED + 10):
        balancer.settled(f"client-{number}", A, 0.0)
    assert len(balancer._clients) == balance.CLIENTS_REMEMBERED


def test_only_allowed_ranges_are_admitted() -> None:
    balancer = Balancer(Backends((A,), allowed=("10.0.0.0/8", "192.168.0.7/32")))
    assert [balancer.admits(client) for client in ("10.1.2.3", "192.168.0.7", "192.168.0.8")] == [True, True, False]
    assert Balancer(Backends((A,))).admits("8.8.8.8")
