"""Certificates of nodes that were removed."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.removednodes import is_removed

REMOVED = {"data": {"laptop": "2026-01-01T12:00:00+00:00", "odd": "nonsense"}}


@pytest.mark.parametrize(
    ("user", "begins", "refused"),
    [
        ("system:node:laptop", "Jan  1 11:00:00 2026 GMT", True),
        ("system:node:laptop", "Jan  1 11:54:59 2026 GMT", True),
        ("system:node:laptop", "Jan  1 11:55:30 2026 GMT", False),
        ("system:node:other", "Jan  1 11:00:00 2026 GMT", False),
        ("system:node:odd", "Jan  1 11:00:00 2026 GMT", True),
        ("laptop", "Jan  1 11:00:00 2026 GMT", False),
    ],
)
def test_what_was_signed_before_the_removal_is_refused(user: str, begins: str, refused: bool):
    assert is_removed({"notBefore": begins}, user, REMOVED) is refused
    assert not is_removed({"notBefore": begins}, user, {})
