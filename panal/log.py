"""Logging as every component does it: one line an event, in klog's shape, to standard error.

`I1123 18:04:05.123456 kube-proxy services.py:42] message`. Line breaks and control
characters in messages are escaped, so that nothing from a request can forge a line.
"""

from __future__ import annotations

import logging
import sys
import time

_LETTER = {logging.DEBUG: "D", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}


class _KlogFormatter(logging.Formatter):
    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        moment = time.localtime(record.created)
        stamp = time.strftime("%m%d %H:%M:%S", moment)
        message = record.getMessage()
        if record.exc_info:
            message += " | " + self.formatException(record.exc_info)
        letter = _LETTER.get(record.levelno, "I")
        head = f"{letter}{stamp}.{int(record.msecs * 1000):06d} {self._component} {record.filename}:{record.lineno}]"
        return f"{head} {escape(message)}"


def escape(text: str) -> str:
    """The text on one line: control characters as in a Python string."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def setup(component: str, level: int = logging.INFO) -> None:
    """Send this process's log to standard error; replaces whatever handlers a forked parent had."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_KlogFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
