"""What every test shares."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell starts what runs in the background with SIGINT ignored, and our programs would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for the sockets in it, whoever runs the tests: tmp_path has the user's name."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="p") as folder:
        yield Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _an_event_loop_that_is_closed() -> Iterator[None]:
    """pytest-asyncio asks for the current loop before each test; Python 3.11 would make one that nobody closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
