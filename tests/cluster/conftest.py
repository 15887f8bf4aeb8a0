"""Clusters for tests: one a module and variant."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import harness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one cluster stay on one worker; all are marked `cluster` and may take longer.

    Those in the loopback network stay on one altogether: of two workers, one would wait for the other's to end.
    """
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(600))
        if item.get_closest_marker("xdist_group"):
            continue
        called = getattr(item, "callspec", None)
        variant = called and called.params.get("variant")
        alone = called is not None and "loopback" in called.id
        item.add_marker(pytest.mark.xdist_group("loopback" if alone else f"{item.path.stem}-{variant}"))


@pytest.fixture(scope="module", params=harness.variants(), ids=str)
def variant(request: pytest.FixtureRequest) -> Iterator[harness.Variant]:
    found: harness.Variant = request.param
    with harness.loopback_turn() if found.network == "loopback" else contextlib.nullcontext():
        yield found


@pytest.fixture(scope="module")
def miempresa(variant: harness.Variant) -> Iterator[harness.Cluster]:
    """The cluster of the picture with the example's manifests applied, the page answering."""
    configuration = str(harness.ROOT / "examples" / "miempresa" / "cluster.yaml")
    with harness.a_cluster(variant, "miempresa", "--config", configuration) as cluster:
        cluster.kubectl("apply", "-f", str(harness.ROOT / "examples" / "miempresa" / "manifests"))
        for target in ("deployment/mariadb", "deployment/wp"):
            cluster.kubectl("rollout", "status", target, "--timeout=60s")
        cluster.kubectl("rollout", "status", "deployment/ingress", "-n", "ingress", "--timeout=60s")
        yield cluster


@pytest.fixture(scope="module")
def cluster(variant: harness.Variant) -> Iterator[harness.Cluster]:
    """A cluster as `panal up` makes it without a configuration."""
    with harness.a_cluster(variant, "lab") as cluster:
        yield cluster
