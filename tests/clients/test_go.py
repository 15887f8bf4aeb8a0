"""Programs on client-go 0.36, built here from Go sources (tests/clients/go): each test is one check of theirs.

They speak protobuf, begin their informers with streamed lists, and make every list that they hold be compared with an
ordinary one (client-go's own detector of inconsistencies, which ends the program).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ..cluster import harness
from .programs import built, everything

pytestmark = [everything, pytest.mark.timeout(1600)]

CHECKS = (
    "typed-life", "protobuf-equals-json", "errors", "conflicts-are-retried", "subresources", "warnings", "informers",
    "metadata-informer", "leader-election", "watches", "events", "server-side-apply", "dynamic", "discovery", "pages",
    "polymorphic-scale",
)  # fmt: skip
WITH_PODS = (
    "cluster-exec-websocket", "cluster-exec-spdy", "cluster-forward-websocket", "cluster-forward-spdy", "cluster-logs",
    "cluster-rollout",
)  # fmt: skip
DETECTORS = {"KUBE_WATCHLIST_INCONSISTENCY_DETECTOR": "true", "KUBE_LIST_FROM_CACHE_INCONSISTENCY_DETECTOR": "true"}


@pytest.fixture(scope="module")
def clients() -> Path:
    """The compiled program."""
    return built("go")


def _run(clients: Path, kubeconfig: Path, namespace: str, check: str) -> None:
    done = subprocess.run(
        [clients, kubeconfig, namespace, check], env={**os.environ, **DETECTORS},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"ok {check}\n"), done.stdout + done.stderr[-3000:]


def test_every_check_is_run_here(clients: Path) -> None:
    found = subprocess.run([clients, "list"], capture_output=True, text=True, check=True, timeout=20).stdout.split()
    assert found == sorted(CHECKS + WITH_PODS)


@pytest.mark.parametrize("check", CHECKS)
def test_against_the_api_server(clients: Path, kubeconfig: Path, space: str, check: str) -> None:
    _run(clients, kubeconfig, space, check)


@pytest.mark.cluster
@pytest.mark.parametrize("check", WITH_PODS + CHECKS)
def test_against_a_cluster(clients: Path, cluster: harness.Cluster, check: str) -> None:
    namespace = f"check-{check}"
    cluster.kubectl("create", "namespace", namespace)
    harness.until(lambda: cluster.get("serviceaccount", "default", "-n", namespace), what="its account")
    _run(clients, cluster.user.home / "kubeconfig", namespace, check)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
