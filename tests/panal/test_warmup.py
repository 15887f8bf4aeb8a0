"""What is warmed up has to be what components do."""

from __future__ import annotations

from panal import warmup


def test_every_exchange_brings_a_whole_answer() -> None:
    assert warmup.warm_up() == warmup._CONNECTIONS
