"""The kubelet's metrics in Prometheus' text format: `/metrics/resource` and `/metrics/cadvisor`. Pure.

Names, labels and help are those of Kubernetes (pkg/kubelet/metrics/collectors/resource_metrics.go) and of cAdvisor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..runtime.contract import Container
from . import podspec
from .sampler import Sample
from .summary import PodUse, node_used

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=values"
CPU_PERIOD = 100_000

Value = tuple[Mapping[str, str], float]
Family = tuple[str, str, str, Sequence[Value], int | None]
"""Name, type, help, values, and the time of the sample in milliseconds where upstream tells it."""


def _family(name: str, kind: str, words: str, values: Sequence[Value], at: int | None) -> str:
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    stamp = "" if at is None else f" {at}"
    for labels, value in values:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in sorted(labels.items()))
        lines.append(f"{name}{{{shown}}} {_number(value)}{stamp}" if shown else f"{name} {_number(value)}{stamp}")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"


def resource(pods: Sequence[PodUse], sample: Sample) -> str:
    """`/metrics/resource`: cpu and memory of node, pods and containers."""
    at, node = int(sample.at * 1000), node_used(sample)
    containers = [(_container(item, found), found, used) for item in pods for found, used in item.containers]
    whole = [(_pod(item), item.sum) for item in pods]
    started = [(labels, found.started_at or found.created_at) for labels, found, _ in containers]
    families: tuple[Family, ...] = (
        ("container_cpu_usage_seconds_total", "counter",
         "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
         [(labels, used.cpu_seconds) for labels, _, used in containers], at),
        ("container_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the container in bytes",
         [(labels, used.memory_bytes) for labels, _, used in containers], at),
        ("container_start_time_seconds", "gauge",
         "[STABLE] Start time of the container since unix epoch in seconds", started, None),
        ("node_cpu_usage_seconds_total", "counter",
         "[STABLE] Cumulative cpu time consumed by the node in core-seconds", [({}, node.cpu_seconds)], at),
        ("node_memory_working_set_bytes", "gauge",
         "[STABLE] Current working set of the node in bytes", [({}, node.memory_bytes)], at),
        ("pod_cpu_usage_seconds_total", "counter",
         "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
         [(labels, used.cpu_seconds) for labels, used in whole], at),
        ("pod_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the pod in bytes",
         [(labels, used.memory_bytes) for labels, used in whole], at),
        ("resource_scrape_error", "gauge",
         "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise", [({}, 0)], None),
    )  # fmt: skip
    return "".join(_family(*family) for family in families)


def cadvisor(pods: Sequence[PodUse], sample: Sample, cpu_milli: int, memory: int) -> str:
    """`/metrics/cadvisor`: what cAdvisor tells of a container that can be told here, and the machine as it is set."""
    at = int(sample.at * 1000)
    rows = [(_labelled(item, found), found, used) for item in pods for found, used in item.containers]

    families: tuple[Family, ...] = (
        ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.",
         [({**labels, "cpu": "total"}, used.cpu_seconds) for labels, _, used in rows], at),
        ("container_last_seen", "gauge", "Last time a container was seen by the exporter",
         [(labels, int(sample.at)) for labels, _, _ in rows], at),
        ("container_memory_rss", "gauge", "Size of RSS in bytes.",
         [(labels, used.rss_bytes) for labels, _, used in rows], at),
        ("container_memory_usage_bytes", "gauge",
         "Current memory usage in bytes, including all memory regardless of when it was accessed",
         [(labels, used.memory_bytes) for labels, _, used in rows], at),
        ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.",
         [(labels, used.memory_bytes) for labels, _, used in rows], at),
        ("container_processes", "gauge", "Number of processes running inside the container.",
         [(labels, used.processes) for labels, _, used in rows], at),
        ("container_spec_cpu_period", "gauge", "CPU period of the container.",
         [(labels, CPU_PERIOD) for labels, found, _ in rows if found.config.cpu_limit_milli], None),
        ("container_spec_cpu_quota", "gauge", "CPU quota of the container.",
         [(labels, limit * CPU_PERIOD // 1000)
          for labels, found, _ in rows if (limit := found.config.cpu_limit_milli)], None),
        ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.",
         [(labels, found.config.memory_limit or 0) for labels, found, _ in rows], None),
        ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.",
         [(labels, found.started_at or found.created_at) for labels, found, _ in rows], None),
        ("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, cpu_milli / 1000)], None),
        ("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.", [({}, memory)], None),
    )  # fmt: skip
    return "".join(_family(*family) for family in families)


def _pod(item: PodUse) -> dict[str, str]:
    return {"namespace": podspec.namespace(item.pod), "pod": podspec.name(item.pod)}


def _container(item: PodUse, found: Container) -> dict[str, str]:
    return {"container": found.config.name, **_pod(item)}


def _labelled(item: PodUse, found: Container) -> dict[str, str]:
    place = f"/kubepods/pod{podspec.uid(item.pod)}/{found.id}"
    return {"id": place, "image": found.config.image, "name": found.id, **_container(item, found)}
