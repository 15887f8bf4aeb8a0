"""The log's one promise: a message is one line, whatever it holds."""

import logging

import pytest

from panal import log


def test_control_characters_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log.setup("test")
        logging.getLogger("x").info("a %s", "b\nI1123 forged\r\x1b[31m ñ")
    finally:
        root.handlers[:], root.level = handlers, level
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(r"] a b\nI1123 forged\r\x1b[31m ñ")
    assert lines[0].startswith("I")
