"""The kubelet's `/stats/summary` (k8s.io/kubelet stats/v1alpha1), from one sample. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..runtime.contract import Container
from . import podspec
from .podspec import Pod
from .sampler import SYSTEM, Sample, Used, total


@dataclass(frozen=True)
class PodUse:
    """A pod that runs, its running containers, and what each uses."""

    pod: Pod
    containers: Sequence[tuple[Container, Used]]

    @property
    def sum(self) -> Used:
        return total([used for _, used in self.containers])


def pods_used(pods: Iterable[tuple[Pod, Sequence[Container]]], sample: Sample) -> list[PodUse]:
    """Each pod with those of its containers that the sample knows; pods without any are left out."""
    found = [
        PodUse(pod, [(item, sample.used[item.id]) for item in running if item.id in sample.used])
        for pod, running in pods
    ]
    return [item for item in found if item.containers]


def node_used(sample: Sample) -> Used:
    """All of the node: pods, kubelet, runtime."""
    now = total(list(sample.used.values()))
    return Used(now.cores, now.cpu_seconds + sample.ended_cpu_seconds, now.memory_bytes, now.rss_bytes, now.processes)


def summary(name: str, capacity: int, started_at: float, pods: Sequence[PodUse], sample: Sample) -> dict[str, Any]:
    """The whole document. `capacity` is the node's memory in bytes."""
    when, node = podspec.timestamp(sample.at), node_used(sample)
    system = [
        {"name": key, "startTime": podspec.timestamp(started_at), **figures(sample.used[key], when)}
        for key in SYSTEM
        if key in sample.used
    ]
    everyone = total([item.sum for item in pods])
    system.append({"name": "pods", "startTime": podspec.timestamp(started_at), **figures(everyone, when, capacity)})
    return {
        "node": {
            "nodeName": name,
            "systemContainers": system,
            "startTime": podspec.timestamp(started_at),
            **figures(node, when, capacity),
            "rlimit": {"time": when, "curproc": node.processes},
        },
        "pods": [_pod(item, when) for item in pods],
    }


def figures(used: Used, when: str, capacity: int | None = None) -> dict[str, Any]:
    """The members `cpu` and `memory`."""
    memory = {"usageBytes": used.memory_bytes, "workingSetBytes": used.memory_bytes, "rssBytes": used.rss_bytes}
    if capacity is not None:
        memory = {"availableBytes": max(capacity - used.memory_bytes, 0), **memory}
    return {
        "cpu": {
            "time": when,
            "usageNanoCores": round(used.cores * 1e9),
            "usageCoreNanoSeconds": round(used.cpu_seconds * 1e9),
        },
        "memory": {"time": when, **memory},
    }


def _pod(item: PodUse, when: str) -> dict[str, Any]:
    status: Mapping[str, Any] = item.pod.get("status") or {}
    first = min((found.started_at or found.created_at for found, _ in item.containers), default=0.0)
    return {
        "podRef": {
            "name": podspec.name(item.pod),
            "namespace": podspec.namespace(item.pod),
            "uid": podspec.uid(item.pod),
        },
        "startTime": status.get("startTime") or podspec.timestamp(first),
        "containers": [
            {
                "name": found.config.name,
                "startTime": podspec.timestamp(found.started_at or found.created_at),
                **figures(used, when, found.config.memory_limit),
            }
            for found, used in item.containers
        ],
        **figures(item.sum, when),
        "process_stats": {"process_count": item.sum.processes},
    }
