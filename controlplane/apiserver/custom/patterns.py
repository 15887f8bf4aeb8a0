"""Regular expressions of schemas: RE2, whose matching time grows with the text only, as in Kubernetes.

The library is loaded when a schema first has a pattern.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any


@cache
def _options() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return options


@lru_cache(256)
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern, _options())


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text; one that cannot be compiled matches nothing."""
    import re2

    try:
        return _compiled(pattern).search(text) is not None
    except re2.error:
        return False


def complaint(pattern: str) -> str:
    """Why the pattern cannot be compiled, in Go's words; "" when it can."""
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        words, _, rest = (why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)).partition(": ")
        return f"error parsing regexp: {words}: `{rest}`"
    return ""
