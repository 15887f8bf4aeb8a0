"""Hashes of templates: Kubernetes' own values, and the same for what means the same.

testdata/kubernetes/template-hashes.json is from a Go program with k8s.io/api, apimachinery and utils 0.36.4: JSON read
into a v1.PodTemplateSpec, and hashed as pkg/controller's ComputeHash and history's HashControllerRevision do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panal.controlplane.controllers.hashing import SAFE, fnv1, fnv1a, revision_hash, safe_encode, template_hash
from panal.controlplane.controllers.revisions import find_equal, new_revision

GO = orjson.loads((Path(__file__).parents[2] / "testdata" / "kubernetes" / "template-hashes.json").read_bytes())


@pytest.mark.parametrize("said", GO, ids=lambda said: said["pod-template-hash"])
def test_a_template_has_the_hashes_that_kubernetes_gives_it(said: dict[str, Any]) -> None:
    template = said["template"]
    assert template_hash(template) == said["pod-template-hash"]
    assert template_hash(template, 1) == said["after a collision"]
    if "revision" in said:
        assert revision_hash(template) == said["revision"]


def test_the_hash_is_fnv_and_its_letters_those_that_spell_no_words() -> None:
    assert (fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")) == (0x811C9DC5, 0xE40C292C, 0xBF9CF968)
    assert (fnv1(b""), fnv1(b"a"), fnv1(b"foobar")) == (0x811C9DC5, 0x050C5D7E, 0x31F0B262)
    assert safe_encode("0123456789") == "456789bcdf"  # as k8s.io/apimachinery's SafeEncodeString


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.none() | st.integers(0, 2**31 - 1))
def test_it_fits_a_label_and_the_name_of_a_pod(labels: dict[str, str], collisions: int | None) -> None:
    found = template_hash({"metadata": {"labels": labels}}, collisions)
    assert 1 <= len(found) <= 10
    assert set(found) <= set(SAFE)


def test_a_collision_moves_it_and_an_empty_field_does_not() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    assert template_hash(template) != template_hash(template, 0) != template_hash(template, 1)
    assert template_hash({**template, "spec": {"containers": [], "volumes": []}}) == template_hash(template)


def test_a_revision_keeps_the_template_as_clients_would_write_it() -> None:
    """kubectl's and others' way to find the revision of now is to compare texts, not objects."""
    container = {"name": "app", "image": "i:1", "args": ["a<b"], "resources": {}, "env": []}
    template = {"spec": {"restartPolicy": "Always", "containers": [container]}, "metadata": {"labels": {"a": "b"}}}
    owner = {"metadata": {"name": "d", "namespace": "default", "uid": "1"}, "spec": {"template": template}}
    found = new_revision(owner, "apps/v1", "DaemonSet", 1, None)
    assert json.dumps(found["data"], separators=(",", ":")) == (
        '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"b"}},"spec":{"containers":'
        '[{"args":["a<b"],"image":"i:1","name":"app","resources":{}}],"restartPolicy":"Always"}}}}'
    )
    raw = {
        "metadata": {"name": "d-old"},
        "revision": 1,
        "data": {"spec": {"template": {**template, "$patch": "replace"}}},
    }
    assert find_equal([raw], owner) is raw, "one that was written otherwise is still the same"
