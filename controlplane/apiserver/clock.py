"""Times as the API writes them."""

from __future__ import annotations

import time
from functools import lru_cache


@lru_cache(2)
def _text(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return _text(int(seconds))
