"""Which of the clusters that announce themselves is joined."""

from __future__ import annotations

import pytest

from panal.agents.join.mdns import Announced, chosen
from panal.agents.join.refused import Refused

ONE = Announced("panal", "10.0.0.1:6443", "sha256:aa")
TWO = Announced("lab", "10.0.0.2:6443", "sha256:bb")


def test_the_only_one_or_the_one_with_the_hash_is_joined():
    assert chosen([ONE, ONE], None) == ONE
    assert chosen([ONE, TWO], "sha256:bb") == TWO


@pytest.mark.parametrize(
    ("found", "pin", "why"),
    [
        ([], None, "no cluster announced"),
        ([ONE, TWO], None, "several clusters"),
        ([ONE], "sha256:cc", "none with the CA"),
    ],
)
def test_otherwise_it_says_why(found: list[Announced], pin: str | None, why: str):
    with pytest.raises(Refused, match=why):
        chosen(found, pin)
