"""What is warmed up has to be what components do."""

from __future__ import annotations

import logging
import signal
import threading

from panal import warmup


def test_a_component_in_miniature_writes_and_sees_all_and_leaves_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    handlers = logging.getLogger().handlers[:]
    assert warmup.warm_up() == warmup.ROUNDS
    assert logging.getLogger().handlers == handlers
    assert signal.getsignal(signal.SIGTERM) == before
    assert not any(thread.name.startswith("asyncio") for thread in threading.enumerate())
