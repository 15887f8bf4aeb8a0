"""Who is evicted when a node's memory runs out, in which order and with which words."""

from __future__ import annotations

from typing import Any

from panal.agents.kubelet import eviction, status
from panal.agents.kubelet.eviction import Candidate, Evictor, rank
from panal.agents.kubelet.model import End, Phase, Seen
from panal.agents.runtime.contract import Container, ContainerConfig, ContainerState, Usage

from .conftest import make_pod

Mi = 1 << 20


def running(key: str) -> Container:
    return Container(key, "s", ContainerConfig("web", "busybox"), ContainerState.RUNNING, "busybox", 0.0, 0.0)


def candidate(name: str, used: int, request: str = "", **spec: Any) -> Candidate:
    resources = {"resources": {"requests": {"memory": request}}} if request else {}
    pod = make_pod({"name": "web", **resources}, **spec)
    pod["metadata"].update(name=name, uid=name)
    return Candidate(pod, [(running(name), used)])


def test_what_exceeds_its_requests_goes_first_by_priority_and_overuse() -> None:
    every = [
        candidate("modest", 50 * Mi, "100Mi"),
        candidate("important", 400 * Mi, priority=1000),
        candidate("large", 300 * Mi),
        candidate("larger", 600 * Mi, "200Mi"),
        candidate("critical", 900 * Mi, priority=2_000_001_000),
    ]
    names = [item.pod["metadata"]["name"] for item in rank(every)]
    assert names == ["larger", "large", "important", "modest"]


def test_the_message_is_upstreams() -> None:
    assert eviction.message(candidate("a", 300 * Mi, "100Mi"), 20 * Mi) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 20480Ki. "
        "Container web was using 307200Ki, request is 102400Ki, has larger consumption of memory. "
    )


def test_one_pod_goes_at_a_look_and_the_pressure_stays_for_five_minutes() -> None:
    evicted: list[tuple[str, End]] = []
    pressure: list[bool] = []
    pods = [candidate("small", 0).pod, candidate("large", 0).pod]
    evictor = Evictor(
        capacity=1000 * Mi,
        usages=lambda: None,  # type: ignore[arg-type,return-value]
        own=lambda: Usage(0.0, 50 * Mi, 1),
        pods=lambda: [(pod, [running(pod["metadata"]["name"])]) for pod in pods],
        evict=lambda pod, end: evicted.append((pod["metadata"]["name"], end)),
        pressure=pressure.append,
    )
    usages = {"small": Usage(0.0, 100 * Mi, 1), "large": Usage(0.0, 200 * Mi, 1)}
    assert evictor.look(usages, 0.0) == eviction.FAR
    assert (evicted, pressure) == ([], [])
    usages["large"] = Usage(0.0, 800 * Mi, 1)
    assert evictor.look(usages, 10.0) == eviction.NEAR
    assert [name for name, _ in evicted] == ["large"]
    assert evicted[0][1].reason == "Evicted"
    del usages["large"]
    evictor.look(usages, 20.0)
    evictor.look(usages, 309.0)
    assert pressure == [True]
    evictor.look(usages, 311.0)
    assert pressure == [True, False]
    assert len(evicted) == 1


def test_an_evicted_pods_status_says_who_and_why() -> None:
    end = End(Phase.FAILED, "Evicted", "The node was low on resource: memory. ", 1.0)
    found = status.pod_status(
        make_pod("web"), Seen(end=end), 5.0, host_ip="h", began_at=1.0, message_of=lambda *_: "", old={}
    )
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "Evicted", end.message)
    told = next(item for item in found["conditions"] if item["type"] == "DisruptionTarget")
    assert (told["status"], told["reason"]) == ("True", "TerminationByKubelet")
