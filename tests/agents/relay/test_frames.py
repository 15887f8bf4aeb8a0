"""Messages between agents, however the stream is cut."""

from __future__ import annotations

import pytest

from panal.agents.relay.frames import BYE, FRAME, LONGEST, PING, Messages, message

SAID = [(FRAME, b"abc" * 500), (PING, b""), (FRAME, b""), (BYE, "señal".encode())]
STREAM = b"".join(message(kind, content) for kind, content in SAID)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100, len(STREAM)])
def test_what_is_said_is_heard(size: int):
    messages = Messages()
    heard = []
    for start in range(0, len(STREAM), size):
        heard += [(kind, bytes(content)) for kind, content in messages.feed(STREAM[start : start + size])]
    assert heard == SAID


@pytest.mark.parametrize("length", [0, LONGEST + 1, 0xFFFFFFFF])
def test_a_length_that_none_has_is_refused(length: int):
    with pytest.raises(ValueError, match="a message of"):
        list(Messages().feed(length.to_bytes(4, "big") + b"\0" * 8))
