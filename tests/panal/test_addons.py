"""The cluster's own manifests: every name they use leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from panal import addons, staticpods
from panal.bundled import BUNDLED
from panal.config import dump, load_cluster
from panal.paths import ClusterPaths
from panal.resources import by_kind

from ..onenode import ONE_NODE

PATHS = ClusterPaths(Path("/state/clusters/panal"))


def _pods() -> list[tuple[str, dict]]:
    found = [(pod["metadata"]["name"], pod["spec"]) for pod in staticpods.control_plane(ONE_NODE, PATHS)]
    workloads = [obj for obj in addons.addons(ONE_NODE, PATHS) if "template" in obj.get("spec", {})]
    return found + [(obj["metadata"]["name"], obj["spec"]["template"]["spec"]) for obj in workloads]


def test_every_program_of_the_picture_has_a_pod() -> None:
    assert [name for name, _ in _pods()] == [
        "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns", "ingress",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "spec"), _pods(), ids=[name for name, _ in _pods()])
def test_images_are_bundled_and_mounts_have_volumes(name: str, spec: dict) -> None:
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in spec["containers"]:
        assert container["image"].partition(":")[0] in BUNDLED
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


def test_every_object_has_a_kind_that_the_api_serves_and_accounts_that_exist() -> None:
    objects = addons.addons(ONE_NODE, PATHS)
    for obj in objects:
        assert by_kind(obj["apiVersion"], obj["kind"]) is not None
    accounts = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in objects if o["kind"] == "ServiceAccount"}
    for obj in objects:
        if account := obj.get("spec", {}).get("template", {}).get("spec", {}).get("serviceAccountName"):
            assert (obj["metadata"]["namespace"], account) in accounts


def test_paths_of_the_machine_are_the_same_inside() -> None:
    for pod in staticpods.control_plane(ONE_NODE, PATHS):
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
        assert mounts == {volume["name"]: volume["hostPath"]["path"] for volume in pod["spec"]["volumes"]}


def test_a_cluster_without_the_bundled_ingress_has_none() -> None:
    import dataclasses

    from panal.config import IngressSpec

    without = dataclasses.replace(ONE_NODE, ingress=IngressSpec(enabled=False))
    assert all("ingress" not in obj["metadata"]["name"] for obj in addons.addons(without, PATHS))


def test_a_configuration_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    path.write_bytes(dump(ONE_NODE))
    assert load_cluster(path) == ONE_NODE
