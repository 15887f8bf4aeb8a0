"""What every test shares."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _an_event_loop_that_is_closed() -> Iterator[None]:
    """pytest-asyncio asks for the current loop before each test; Python 3.11 would make one that nobody closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
