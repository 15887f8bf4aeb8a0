"""/metrics: the counters, and what is true right now of the process, its store and its cache."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import measured
from .answers import Answer
from .context import Parts
from .discovery import VERSION
from .inflight import Places
from .measured import Gauge, pairs

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def answer(parts: Parts, places: Places) -> Answer:
    """In Prometheus' text format."""
    gauges = (measured.build(VERSION), *_work(parts, places), *_process(parts.now()))
    return Answer(parts.measured.text(gauges).encode(), content_type=measured.CONTENT_TYPE)


def _work(parts: Parts, places: Places) -> Iterator[Gauge]:
    inflight = {pairs(request_kind=kind): float(count) for kind, count in places.taken.items()}
    yield Gauge("apiserver_current_inflight_requests", "Requests that are worked on, by kind.", inflight)
    objects, watched = {}, {}
    for place in sorted(parts.cache.places(), key=lambda each: (each.group, each.plural)):
        shelf = parts.cache.shelf(place)
        labels = pairs(group="" if place.group == "core" else place.group, resource=place.plural)
        objects[labels] = float(len(shelf))
        if shelf.sent:
            watched[labels] = float(shelf.sent)
    yield Gauge("apiserver_resource_objects", "Objects that are stored, by resource.", objects)
    yield Gauge("apiserver_watch_events_total", "Changes offered to watchers, by resource.", watched, "counter")
    size = 0
    for name in ("store.db", "store.db-wal"):
        with suppress(OSError):
            size += (Path(parts.options.data_dir) / name).stat().st_size
    cluster = pairs(storage_cluster_id="sqlite")
    yield Gauge("apiserver_storage_size_bytes", "Bytes of the database on the disk.", {cluster: float(size)})
    yield Gauge("apiserver_storage_revision", "The newest revision.", {"": float(parts.cache.revision)})


def _process(now: float) -> Iterator[Gauge]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Gauge("process_cpu_seconds_total", "User and system CPU time spent in seconds.",
                {"": used.ru_utime + used.ru_stime}, "counter")  # fmt: skip
    with suppress(OSError, IndexError, ValueError):
        sizes = Path("/proc/self/statm").read_text().split()
        yield Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", {"": float(sizes[0]) * _PAGE})
        yield Gauge("process_resident_memory_bytes", "Resident memory size in bytes.", {"": float(sizes[1]) * _PAGE})
        started = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / _TICKS
        up = time.clock_gettime(time.CLOCK_BOOTTIME) - started
        yield Gauge("process_start_time_seconds", "Start of the process, seconds since the epoch.", {"": now - up})
        yield Gauge("process_open_fds", "Open file descriptors.", {"": float(len(os.listdir("/proc/self/fd")))})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Gauge("process_max_fds", "Open file descriptors at most.", {"": float(limit)})
