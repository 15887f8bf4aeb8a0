"""Static pods: from files to pods and to their mirrors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panal.agents.kubelet.podspec import is_mirror, is_static
from panal.agents.kubelet.static import ManifestError, mirror_of, mirrors, read, static_pod

MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
    "spec": {"containers": [{"name": "a", "image": "i"}]},
}


def test_a_manifest_is_a_pod_of_this_node_with_an_identity_of_its_own() -> None:
    pod = static_pod(MANIFEST, "nodo1", 0)
    assert pod["metadata"]["name"] == "kube-apiserver-nodo1"
    assert is_static(pod)
    assert pod["metadata"]["uid"] == static_pod(MANIFEST, "nodo1", 99)["metadata"]["uid"]
    assert pod["metadata"]["uid"] != static_pod(MANIFEST, "nodoa", 0)["metadata"]["uid"]
    changed = {**MANIFEST, "spec": {"containers": [{"name": "a", "image": "j"}]}}
    assert pod["metadata"]["uid"] != static_pod(changed, "nodo1", 0)["metadata"]["uid"]


def test_its_mirror_shows_it_and_belongs_to_the_node() -> None:
    pod = static_pod(MANIFEST, "nodo1", 0)
    mirror = mirror_of(pod, {"metadata": {"name": "nodo1", "uid": "n"}})
    assert is_mirror(mirror)
    assert not is_static(mirror)
    assert mirrors(pod, mirror)
    assert not mirrors(static_pod({**MANIFEST, "spec": {"containers": [{"name": "b"}]}}, "nodo1", 0), mirror)
    assert mirror["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "nodo1", "uid": "n", "controller": True}
    ]
    assert "uid" not in mirror["metadata"]


@pytest.mark.parametrize("manifest", [{}, {"kind": "Pod"}, {"kind": "Pod", "metadata": {"name": "x"}, "spec": {}}])
def test_what_is_no_pod_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        static_pod(manifest, "nodo1", 0)


def test_a_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: x, image: i}]}\n")
    (tmp_path / "b.yaml").write_text("kind: [")
    (tmp_path / "c.json").write_text("[]")
    (tmp_path / "d.txt").write_text("kind: Pod")
    assert [pod["metadata"]["name"] for pod in read(tmp_path, "n", 0).values()] == ["a-n"]
    assert read(tmp_path / "missing", "n", 0) == {}
