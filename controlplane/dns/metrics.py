"""What Prometheus is told, under CoreDNS' names: questions, answers, sizes and times, and what the caches did. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from . import wire

TIMES = tuple(0.00025 * 2**power for power in range(16))
SIZES = (0.0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3)
"""CoreDNS' own buckets, in seconds and bytes."""
_TYPES = {
    wire.A: "A", wire.NS: "NS", wire.CNAME: "CNAME", wire.SOA: "SOA", wire.PTR: "PTR", wire.MX: "MX",
    wire.TXT: "TXT", wire.AAAA: "AAAA", wire.SRV: "SRV", wire.ANY: "ANY", 35: "NAPTR", 43: "DS", 48: "DNSKEY",
    64: "SVCB", 65: "HTTPS",
}  # fmt: skip
RCODES = {
    wire.NOERROR: "NOERROR", wire.FORMERR: "FORMERR", wire.SERVFAIL: "SERVFAIL", wire.NXDOMAIN: "NXDOMAIN",
    wire.NOTIMP: "NOTIMP", wire.REFUSED: "REFUSED", wire.BADVERS: "BADVERS",
}  # fmt: skip


def type_name(number: int) -> str:
    return _TYPES.get(number, "other")


class Kind(NamedTuple):
    """Which questions are counted together."""

    zone: str
    proto: str
    family: str
    type: str
    rcode: str
    plugin: str


class Histogram:
    """Counts by upper bound, and the sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    def merge(self, other: Histogram) -> None:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def lines(self, name: str, labels: str) -> Iterator[str]:
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{"+Inf" if bound == float("inf") else f"{bound:g}"}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self.sum:.9g}"
        yield f"{name}_count{{{labels}}} {total}"


@dataclass(slots=True)
class Series:
    """What was counted of one kind."""

    count: int = 0
    seconds: Histogram = field(default_factory=lambda: Histogram(TIMES))
    asked: Histogram = field(default_factory=lambda: Histogram(SIZES))
    said: Histogram = field(default_factory=lambda: Histogram(SIZES))

    def add(self, seconds: float, asked: int, said: int, times: int = 1) -> None:
        """`asked` and `said` are the messages' sizes in bytes."""
        self.count += times
        self.seconds.add(seconds, times)
        self.asked.add(asked, times)
        self.said.add(said, times)


class CacheCounts(NamedTuple):
    """Of one server block's cache of others' answers."""

    zone: str
    hits_success: int
    hits_denial: int
    misses: int
    entries_success: int
    entries_denial: int


class Metrics:
    """All series of a server, `server` as in `dns://:53`."""

    def __init__(self, server: str = "dns://:53") -> None:
        self._server = server
        self._series: dict[Kind, Series] = {}

    def of(self, kind: Kind) -> Series:
        found = self._series.get(kind)
        if found is None:
            found = self._series[kind] = Series()
        return found

    def text(self, caches: Iterable[CacheCounts] = (), *, reload_failed: int = 0, version: str = "") -> str:
        """The exposition format, version 0.0.4."""
        lines: list[str] = []
        server = f'server="{self._server}"'
        _add(lines, "coredns_build_info", "gauge", [f'coredns_build_info{{version="{version}"}} 1'])
        requests: dict[str, int] = {}
        responses: dict[str, int] = {}
        histograms: dict[str, dict[str, Histogram]] = {"seconds": {}, "asked": {}, "said": {}}
        for kind, series in sorted(self._series.items()):
            _count(requests, _labels(server, kind, "family", "proto", "type"), series.count)
            _count(responses, _labels(server, kind, "plugin", "rcode"), series.count)
            _merge(histograms["seconds"], _labels(server, kind), series.seconds, TIMES)
            _merge(histograms["asked"], _labels(server, kind, "proto"), series.asked, SIZES)
            _merge(histograms["said"], _labels(server, kind, "proto"), series.said, SIZES)
        _add(lines, "coredns_dns_requests_total", "counter", _values("coredns_dns_requests_total", requests))
        _add(lines, "coredns_dns_responses_total", "counter", _values("coredns_dns_responses_total", responses))
        for name, what in (
            ("coredns_dns_request_duration_seconds", "seconds"),
            ("coredns_dns_request_size_bytes", "asked"),
            ("coredns_dns_response_size_bytes", "said"),
        ):
            shown = [line for labels, found in histograms[what].items() for line in found.lines(name, labels)]
            _add(lines, name, "histogram", shown)
        _caches(lines, server, caches)
        _add(lines, "coredns_reload_failed_total", "counter", [f"coredns_reload_failed_total {reload_failed}"])
        return "\n".join(lines) + "\n"


def _caches(lines: list[str], server: str, caches: Iterable[CacheCounts]) -> None:
    hits, misses, entries, requests = [], [], [], []
    for one in caches:
        rest = f'view="",zones="{one.zone}"'
        for kind, hit, held in (
            ("denial", one.hits_denial, one.entries_denial),
            ("success", one.hits_success, one.entries_success),
        ):
            hits.append(f'coredns_cache_hits_total{{{server},type="{kind}",{rest}}} {hit}')
            entries.append(f'coredns_cache_entries{{{server},type="{kind}",{rest}}} {held}')
        misses.append(f"coredns_cache_misses_total{{{server},{rest}}} {one.misses}")
        total = one.hits_success + one.hits_denial + one.misses
        requests.append(f"coredns_cache_requests_total{{{server},{rest}}} {total}")
    _add(lines, "coredns_cache_entries", "gauge", entries)
    _add(lines, "coredns_cache_hits_total", "counter", hits)
    _add(lines, "coredns_cache_misses_total", "counter", misses)
    _add(lines, "coredns_cache_requests_total", "counter", requests)


def _labels(server: str, kind: Kind, *names: str) -> str:
    found = [f'{name}="{getattr(kind, name)}"' for name in names]
    return ",".join([*found, server, 'view=""', f'zone="{kind.zone}"'])


def _count(found: dict[str, int], labels: str, number: int) -> None:
    found[labels] = found.get(labels, 0) + number


def _merge(found: dict[str, Histogram], labels: str, other: Histogram, bounds: tuple[float, ...]) -> None:
    found.setdefault(labels, Histogram(bounds)).merge(other)


def _values(name: str, found: dict[str, int]) -> list[str]:
    return [f"{name}{{{labels}}} {number}" for labels, number in found.items()]


def _add(lines: list[str], name: str, kind: str, shown: list[str]) -> None:
    if shown:
        lines += [f"# TYPE {name} {kind}", *shown]
