"""The company in containers, started once for all tests of `make test-compose`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import company
import engine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stories share one engine: one worker, one order."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "docker" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.timeout(900))
            item.add_marker(pytest.mark.xdist_group("compose"))


@pytest.fixture(scope="session")
def docker() -> Iterator[engine.Engine]:
    """An engine of the test's own with the image, made from what is here."""
    if not os.environ.get("PANAL_TEST_COMPOSE"):
        pytest.skip("takes minutes: run `make test-compose`, or set PANAL_TEST_COMPOSE=1")
    if (reason := engine.reason()) is not None:
        pytest.skip(reason)
    try:
        engine.bring()
        base = engine.base()
        with engine.started() as found:
            found.docker("import", "-", engine.BASE, stdin=base)
            found.compose("up", "--no-start", timeout=600)  # a user's first command builds what is missing
            found.compose("down", "--volumes")
            yield found
    except engine.Unavailable as unavailable:
        pytest.fail(str(unavailable))


@pytest.fixture(scope="session")
def running(docker: engine.Engine) -> Iterator[company.Company]:
    """`docker compose up`."""
    with company.up(docker) as found:
        yield found
