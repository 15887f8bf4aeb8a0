"""What the kubelet tells about use: samples on a clock of the test's own, and the documents made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from panal.agents.kubelet import exposition, sampler, summary
from panal.agents.kubelet.sampler import Sample, Sampler, Used
from panal.agents.runtime.contract import RUNTIME, Container, ContainerConfig, ContainerState, Usage

from .conftest import make_pod


class Programs:
    """A runtime whose container `c` uses half a core and whose memory stays as it is."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.containers: dict[str, float] = {"c": 1000.0}

    async def usages(self) -> Mapping[str, Usage]:
        self.asked += 1
        found = {key: Usage(0.5 * (self.now - began), 1 << 20, 1, 2 << 20) for key, began in self.containers.items()}
        return {**found, RUNTIME: Usage(1.0, 1 << 20, 2, 1 << 20)}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs()

    async def sleep(seconds: float) -> None:
        made.now += seconds

    monkeypatch.setattr(sampler.asyncio, "sleep", sleep)
    return made


async def test_the_first_question_waits_for_a_second_reading(programs: Programs) -> None:
    sample = await Sampler(programs, lambda: programs.now).sample()
    assert (sample.window, sample.used["c"].cores, programs.asked) == (sampler.SHORTEST, 0.5, 2)
    assert set(sample.used) == {"c", RUNTIME, sampler.KUBELET}
    assert sample.used[sampler.KUBELET].memory_bytes > 1 << 20


async def test_later_questions_share_a_sample_for_a_second_and_then_take_one_reading(programs: Programs) -> None:
    asked = Sampler(programs, lambda: programs.now)
    first = await asked.sample()
    assert await asked.sample() is first
    programs.now += 10
    second = await asked.sample()
    assert (second.window, second.used["c"].cores, programs.asked) == (10.0, 0.5, 3)


async def test_a_reading_too_old_for_a_rate_is_not_used(programs: Programs) -> None:
    asked = Sampler(programs, lambda: programs.now)
    await asked.sample()
    programs.now += 3600
    assert (await asked.sample()).window == sampler.SHORTEST


async def test_the_nodes_cpu_never_falls_when_containers_end(programs: Programs) -> None:
    asked = Sampler(programs, lambda: programs.now)
    programs.now += 100
    before = summary.node_used(await asked.sample()).cpu_seconds
    del programs.containers["c"]
    programs.now += 5
    sample = await asked.sample()
    assert "c" not in sample.used
    assert summary.node_used(sample).cpu_seconds >= before > 50


SAMPLE = Sample(
    2000.5, 1.0, {"id1": Used(0.25, 12.5, 4096, 8192, 3), RUNTIME: Used(0.0, 1.0, 1024, 1024, 2)}, ended_cpu_seconds=0.5
)
CONTAINER = Container(
    "id1", "s1", ContainerConfig("web", "busybox", memory_limit=1 << 20, cpu_limit_milli=500),
    ContainerState.RUNNING, "busybox", 1900.0, 1990.0,
)  # fmt: skip
PODS = summary.pods_used([(make_pod("web"), [CONTAINER])], SAMPLE)


def test_the_summary_has_upstreams_members() -> None:
    told = summary.summary("nodoa", 1 << 30, 1000.0, PODS, SAMPLE)
    when = "1970-01-01T00:33:20Z"
    cpu = {"time": when, "usageNanoCores": 250_000_000, "usageCoreNanoSeconds": 12_500_000_000}
    memory = {"time": when, "usageBytes": 4096, "workingSetBytes": 4096, "rssBytes": 8192}
    assert told["pods"] == [
        {
            "podRef": {"name": "p", "namespace": "default", "uid": "u1"},
            "startTime": "1970-01-01T00:33:10Z",
            "containers": [
                {
                    "name": "web",
                    "startTime": "1970-01-01T00:33:10Z",
                    "cpu": cpu,
                    "memory": {"availableBytes": (1 << 20) - 4096, **memory},
                }
            ],
            "cpu": cpu,
            "memory": memory,
            "process_stats": {"process_count": 3},
        }
    ]
    node: dict[str, Any] = told["node"]
    assert node["nodeName"] == "nodoa"
    assert node["memory"]["workingSetBytes"] == 5120
    assert node["memory"]["availableBytes"] == (1 << 30) - 5120
    assert node["cpu"]["usageCoreNanoSeconds"] == 14_000_000_000
    assert [item["name"] for item in node["systemContainers"]] == ["runtime", "pods"]


def test_the_resource_metrics_are_upstreams() -> None:
    lines = exposition.resource(PODS, SAMPLE).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'container_cpu_usage_seconds_total{container="web",namespace="default",pod="p"} 12.5 2000500',
        'container_memory_working_set_bytes{container="web",namespace="default",pod="p"} 4096 2000500',
        'container_start_time_seconds{container="web",namespace="default",pod="p"} 1990',
        "node_cpu_usage_seconds_total 14 2000500",
        "node_memory_working_set_bytes 5120 2000500",
        'pod_cpu_usage_seconds_total{namespace="default",pod="p"} 12.5 2000500',
        'pod_memory_working_set_bytes{namespace="default",pod="p"} 4096 2000500',
        "resource_scrape_error 0",
    ]
    assert "# TYPE pod_cpu_usage_seconds_total counter" in lines


def test_cadvisors_metrics_carry_its_labels() -> None:
    text = exposition.cadvisor(PODS, SAMPLE, 4000, 1 << 30)
    labels = 'container="web",{}id="/kubepods/podu1/id1",image="busybox",name="id1",namespace="default",pod="p"'
    total = labels.format('cpu="total",')
    assert f"container_cpu_usage_seconds_total{{{total}}} 12.5 2000500" in text
    quota = labels.format("")
    assert f"container_spec_cpu_quota{{{quota}}} 50000" in text
    assert "machine_cpu_cores 4\n" in text
