"""Hashes of templates: upstream's alphabet and length, the same for what means the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.controllers.hashing import SAFE, fnv1a, safe_encode, template_hash


def test_the_hash_is_fnv_and_its_letters_those_that_spell_no_words() -> None:
    assert (fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")) == (0x811C9DC5, 0xE40C292C, 0xBF9CF968)
    assert safe_encode("0123456789") == "456789bcdf"  # as k8s.io/apimachinery's SafeEncodeString


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.none() | st.integers(0, 2**31 - 1))
def test_it_fits_a_label_and_the_name_of_a_pod(labels: dict[str, str], collisions: int | None) -> None:
    found = template_hash({"metadata": {"labels": labels}}, collisions)
    assert 1 <= len(found) <= 10
    assert set(found) <= set(SAFE)


def test_a_collision_moves_it_and_an_empty_field_does_not() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    assert template_hash(template) != template_hash(template, 0) != template_hash(template, 1)
    assert template_hash({**template, "spec": {"containers": [], "volumes": []}}) == template_hash(template)
