"""The forwarding thread's loop: calls from other threads."""

from __future__ import annotations

import threading

from panal.proxy.forward.loop import Loop


def test_a_call_whose_caller_gave_up_stops_no_other() -> None:
    loop, busy = Loop(), threading.Event()
    loop.start("test")
    done: list[str] = []
    first = loop.call(lambda: busy.wait(10))
    given_up = loop.call(lambda: done.append("given up"))
    last = loop.call(lambda: done.append("last"))
    assert given_up.cancel()
    busy.set()
    assert first.result(10)
    last.result(10)
    assert done == ["last"]
    loop.stop()
