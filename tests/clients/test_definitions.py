"""Published CustomResourceDefinitions of a large project: those of Dask's operator hold whole pods' templates."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from panal import tools

from .conftest import until
from .programs import everything, lacking, newest_kubectl

KINDS = ("daskautoscaler", "daskcluster", "daskjob", "daskworkergroup")
CLUSTER = {
    "apiVersion": "kubernetes.dask.org/v1",
    "kind": "DaskCluster",
    "metadata": {"name": "simple"},
    "spec": {
        "worker": {
            "replicas": 2,
            "spec": {
                "containers": [{"name": "worker", "image": "dask", "env": [{"name": "A", "value": "1"}], "nosuch": 1}]
            },
        },
        "scheduler": {
            "spec": {"containers": [{"name": "scheduler", "image": "dask"}]},
            "service": {
                "type": "ClusterIP",
                "selector": {"a": "b"},
                "ports": [{"name": "tcp", "protocol": "TCP", "port": 8786, "targetPort": "tcp-comm"}],
            },
        },
    },
}


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the definitions."""
    kept = tools.folder(os.environ)
    wheels = sorted((kept / "definitions").glob("dask_kubernetes-*.whl")) if kept else []
    if not wheels:
        lacking("needs published definitions: scripts/clients.sh definitions")
    folder = tmp_path_factory.mktemp("definitions")
    with zipfile.ZipFile(wheels[-1]) as archive:
        for name in archive.namelist():
            if "/crds/" in name and Path(name).stem in KINDS:
                (folder / Path(name).name).write_bytes(archive.read(name))
    return folder


@everything
def test_definitions_of_half_a_megabyte_are_applied_explained_and_used(
    published: Path, kubeconfig: Path, space: str, tmp_path: Path
) -> None:
    def kubectl(*words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [newest_kubectl(), f"--kubeconfig={kubeconfig}", f"--namespace={space}", *words],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    told = kubectl("apply", "--server-side", "-f", str(published))
    assert told.count("serverside-applied") == len(KINDS)
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(published))
    until("the kind is explained", lambda: "replicas" in kubectl("explain", "daskclusters.spec.worker"))
    assert kubectl("explain", "daskclusters.spec.worker.spec", "--recursive").count("\n") > 500
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(CLUSTER))
    refused = kubectl("apply", "-f", str(file), fails=True)
    assert 'unknown field "spec.worker.spec.containers[0].nosuch"' in refused
    kubectl("apply", "--validate=false", "-f", str(file))
    found = yaml.safe_load(kubectl("get", "daskclusters", "simple", "-o", "yaml"))
    container = found["spec"]["worker"]["spec"]["containers"][0]
    assert container == {"name": "worker", "image": "dask", "env": [{"name": "A", "value": "1"}]}
    scheduler = {"spec": {"scheduler": {"service": {"ports": [{"port": "many", "protocol": "TCP"}]}}}}
    words = kubectl("patch", "daskclusters", "simple", "--type=merge", "-p", yaml.safe_dump(scheduler), fails=True)
    assert 'spec.scheduler.service.ports[0].port in body must be of type integer: "string"' in words
    kubectl("delete", "-f", str(published), "--timeout=30s")
    assert "daskclusters" not in kubectl("api-resources")
