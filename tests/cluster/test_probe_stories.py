"""The four stories of examples/probes, told by a real cluster.

By default on one cluster and with the long waits shortened; as they are written, and everywhere, with PANAL_TEST_ALL=1.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import harness
import orjson
import pytest
import yaml
from harness import Cluster, until

STORIES = harness.ROOT / "examples" / "probes"
WHOLE = bool(os.environ.get("PANAL_TEST_ALL"))
VARIANTS = harness.variants() if WHOLE else harness.variants()[:1]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster in which all four stories begin at once."""
    found: harness.Variant = request.param
    turn = harness.loopback_turn() if found.network == "loopback" else contextlib.nullcontext()
    with turn, harness.a_cluster(found, "stories") as cluster:
        for story in ("slow-start", "stuck-threads", "maintenance", "database"):
            text = cluster.kubectl("kustomize", str(STORIES / story))
            cluster.apply(yaml.safe_dump_all([shortened(item) for item in yaml.safe_load_all(text)]))
        yield cluster


def shortened(item: dict[str, Any]) -> dict[str, Any]:
    """10 + 5 x 10 seconds become 1 + 5 x 1, a recovery of 5 s takes one."""
    if WHOLE:
        return item
    spec = item.get("spec") or {}
    for container in (spec.get("template") or item).get("spec", {}).get("containers") or ():
        probe = container.get("startupProbe") or {}
        for field in ("initialDelaySeconds", "periodSeconds"):
            if field in probe:
                probe[field] //= 10
        for variable in container.get("env") or ():
            if (variable["name"], variable.get("value")) == ("START_SECONDS", "5"):
                variable["value"] = "1"
    return item


def container_of(cluster: Cluster, pod: str) -> Any:
    return cluster.get("pod", pod)["status"]["containerStatuses"][0]


def events_of(cluster: Cluster, pod: str, reason: str) -> list[str]:
    found = cluster.get("events", "--field-selector", f"involvedObject.name={pod},reason={reason}")["items"]
    return [event["message"] for event in found for _ in range(event.get("count") or 1)]


def in_pool(cluster: Cluster, service: str) -> int:
    slices = cluster.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    ready = [e for found in slices for e in found.get("endpoints") or () if e["conditions"]["ready"]]
    return len(ready)


def test_an_application_whose_threads_are_all_stuck_is_restarted_after_three_failures(cluster: Cluster) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", "pod/stuck", "--timeout=30s")
    until(lambda: "4 workers" in cluster.kubectl("logs", "stuck"))
    assert container_of(cluster, "stuck")["restartCount"] == 0
    cluster.kubectl("exec", "stuck", "--", "python", "/app/app.py", "stick")
    restarted = until(lambda: container_of(cluster, "stuck")["restartCount"] == 1 and container_of(cluster, "stuck"))
    assert restarted["lastState"]["terminated"]["exitCode"] == 143

    def silences() -> list[str]:
        told = events_of(cluster, "stuck", "Unhealthy")
        return [words for words in told if "Client.Timeout exceeded while awaiting headers" in words]

    until(lambda: len(silences()) >= 3)  # more where a busy machine makes the program slow before it is stuck
    killed = until(lambda: events_of(cluster, "stuck", "Killing"))
    assert killed == ["Container app failed liveness probe, will be restarted"]
    assert "worker 4 waits for a database" in cluster.kubectl("logs", "stuck", "--previous")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/stuck", "--timeout=30s")


def test_an_application_in_maintenance_lives_on_out_of_the_pool_and_comes_back(cluster: Cluster) -> None:
    cluster.kubectl("rollout", "status", "deployment/shop", "--timeout=30s")
    until(lambda: in_pool(cluster, "shop") == 2)
    pod = cluster.get("pods", "-l", "app=shop")["items"][0]["metadata"]["name"]
    answer = cluster.kubectl("exec", pod, "--", "python", "/app/app.py", "maintenance", "on")
    assert orjson.loads(answer) == {"status": "MAINTENANCE"}
    until(lambda: in_pool(cluster, "shop") == 1)
    found = container_of(cluster, pod)
    assert ("running" in found["state"], found["ready"], found["restartCount"]) == (True, False, 0)
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in until(
        lambda: events_of(cluster, pod, "Unhealthy")
    )
    cluster.kubectl("exec", pod, "--", "python", "/app/app.py", "maintenance", "off")
    until(lambda: in_pool(cluster, "shop") == 2)
    assert container_of(cluster, pod)["restartCount"] == 0


def test_a_database_that_restores_a_backup_is_alive_and_not_ready(cluster: Cluster) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", "pod/database-0", "--timeout=60s")
    ask = ("exec", "database-0", "--", "python", "/app/app.py", "ask")
    assert cluster.kubectl(*ask, "admin", "restore", "6") == "OK\n"
    until(lambda: in_pool(cluster, "database") == 0)
    assert cluster.kubectl(*ask, "admin", "ping") == "OK\n"
    assert "a backup is being restored" in cluster.kubectl(*ask, "wordpress", "ping", check=False)
    assert container_of(cluster, "database-0")["ready"] is False
    until(lambda: in_pool(cluster, "database") == 1)
    found = container_of(cluster, "database-0")
    assert (found["ready"], found["restartCount"]) == (True, 0)
    assert cluster.kubectl(*ask, "wordpress", "ping") == "OK\n"
    assert "Readiness probe failed: ERROR a backup is being restored" in "".join(
        until(lambda: events_of(cluster, "database-0", "Unhealthy"))
    )


def test_an_application_slow_to_start_gets_its_time_and_no_more(cluster: Cluster) -> None:
    given = 60 if WHOLE else 6
    slow = until(lambda: container_of(cluster, "slow")["restartCount"] and container_of(cluster, "slow"), seconds=90)
    life = slow["lastState"].get("terminated") or slow["state"]["terminated"]
    began, ended = (datetime.fromisoformat(life[field]) for field in ("startedAt", "finishedAt"))
    assert given - 1 <= (ended - began).total_seconds() <= given + 4
    assert slow["ready"] is False
    killed = events_of(cluster, "slow", "Killing")
    assert set(killed) == {"Container app failed startup probe, will be restarted"}
    unhealthy = events_of(cluster, "slow", "Unhealthy")
    assert len(unhealthy) >= 5
    assert all(words.startswith('Startup probe failed: Get "http://') for words in unhealthy)
    assert all(words.endswith("connect: connection refused") for words in unhealthy)
