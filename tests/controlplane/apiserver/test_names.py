"""Names that the server makes up."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from panal import formats
from panal.controlplane.apiserver import names


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,90}[a-z0-9])?-", fullmatch=True), st.integers())
def test_a_generated_name_begins_as_asked_and_is_a_label(base: str, seed: int) -> None:
    made = names.generate(base, random.Random(seed))
    assert made.startswith(base[:58])
    assert len(made) == min(len(base), 58) + 5
    assert formats.label_name(made) == []


def test_names_hold_no_vowels_and_so_no_words() -> None:
    made = "".join(names.suffix(random.Random(seed)) for seed in range(200))
    assert not set(made) & set("aeiou013")
