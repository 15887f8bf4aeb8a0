"""What is warmed up has to be what components do."""

from __future__ import annotations

import logging
import signal
import threading

from panal import warmup


def test_a_component_in_miniature_writes_and_sees_all_and_leaves_nothing() -> None:
    handlers, interrupt = logging.getLogger().handlers[:], signal.getsignal(signal.SIGTERM)
    assert warmup.warm_up() == warmup.ROUNDS
    assert logging.getLogger().handlers == handlers
    assert signal.getsignal(signal.SIGTERM) == interrupt
    assert threading.active_count() == 1 or "asyncio" not in {thread.name for thread in threading.enumerate()}
