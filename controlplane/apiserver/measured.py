"""What the API server counts of itself, under Kubernetes' names, and the text that /metrics shows of it.

Counting a request costs about a microsecond: one tuple, one addition, one place in a histogram. All the text is made
when somebody asks. https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .request import Target

SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
"""Buckets of apiserver_request_duration_seconds."""
BYTES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)
"""Buckets of apiserver_response_sizes."""
STORE_SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
"""Buckets of etcd_request_duration_seconds."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_VERBS = {"create": "POST", "update": "PUT"}
_CONNECT = frozenset(("attach", "exec", "portforward", "proxy"))
_REQUEST = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")

Labels = tuple[str, ...]


class Histogram:
    """Observations in buckets."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        joint = "," if labels else ""
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            shown = bound if isinstance(bound, str) else f"{bound:g}"
            yield f'{name}_bucket{{{labels}{joint}le="{shown}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self._sum:.9g}"
        yield f"{name}_count{{{labels}}} {total}"


class Measured:
    """The counters of one API server. Used on the event loop's thread only."""

    def __init__(self) -> None:
        self._requests: dict[tuple[Labels, int], int] = {}
        self._seconds: dict[Labels, Histogram] = {}
        self._sizes: dict[Labels, Histogram] = {}
        self._long: dict[Labels, int] = {}
        self._refused: dict[Labels, int] = {}
        self._authenticated: dict[str, int] = {}
        self._authorized: dict[str, int] = {}

    def request(self, labels: Labels, code: int, seconds: float | None, size: int) -> None:
        """A request is answered; `seconds` None for a long-running one."""
        key = (labels, code)
        self._requests[key] = self._requests.get(key, 0) + 1
        if seconds is None:
            return
        found = self._seconds.get(labels)
        if found is None:
            found = self._seconds[labels] = Histogram(SECONDS)
            self._sizes[labels] = Histogram(BYTES)
        found.observe(seconds)
        self._sizes[labels].observe(size)

    def long_running(self, labels: Labels, change: int) -> None:
        self._long[labels] = self._long.get(labels, 0) + change

    def refused(self, labels: Labels) -> None:
        """For want of a place."""
        self._refused[labels] = self._refused.get(labels, 0) + 1

    def authenticated(self, result: str) -> None:
        self._authenticated[result] = self._authenticated.get(result, 0) + 1

    def authorized(self, result: str) -> None:
        self._authorized[result] = self._authorized.get(result, 0) + 1

    def text(self, gauges: Iterable[Gauge]) -> str:
        """Everything in Prometheus' text format."""
        lines: list[str] = []
        lines += _counter("apiserver_request_total", "Counter of apiserver requests by what they asked for, and code.",
                          ((_pairs((*_REQUEST, "code"), (*labels, str(code))), count)
                           for (labels, code), count in self._requests.items()))  # fmt: skip
        lines += _histogram("apiserver_request_duration_seconds", "Response latency in seconds.", self._seconds)
        lines += _histogram("apiserver_response_sizes", "Response size in bytes.", self._sizes)
        lines += _counter("apiserver_longrunning_requests", "Long-running requests that are active.",
                          ((_pairs(_REQUEST, labels), count) for labels, count in self._long.items()),
                          "gauge")  # fmt: skip
        lines += _counter("apiserver_request_terminations_total", "Requests that were refused to protect the server.",
                          ((_pairs((*_REQUEST, "code"), (*labels, "429")), count)
                           for labels, count in self._refused.items()))  # fmt: skip
        lines += _counter("authentication_attempts", "Authentications by result.",
                          ((_pairs(("result",), (result,)), count)
                           for result, count in self._authenticated.items()))  # fmt: skip
        lines += _counter("authorization_attempts_total", "Authorizations by result.",
                          ((_pairs(("result",), (result,)), count)
                           for result, count in self._authorized.items()))  # fmt: skip
        for gauge in gauges:
            lines += gauge.lines()
        return "\n".join(lines) + "\n"


class Gauge:
    """A figure read when /metrics is asked for."""

    def __init__(self, name: str, about: str, values: Mapping[str, float], kind: str = "gauge") -> None:
        self._name, self._about, self._values, self._kind = name, about, values, kind

    def lines(self) -> Iterator[str]:
        yield from _counter(self._name, self._about, self._values.items(), self._kind)


def labels_of(target: Target, content_type: str = "", dry_run: str = "") -> Labels:
    """The labels of a request, without its code."""
    return (_verb(target, content_type), dry_run, target.group, target.version, target.resource, target.subresource,
            _scope(target), "apiserver")  # fmt: skip


def _verb(target: Target, content_type: str) -> str:
    if target.subresource in _CONNECT:
        return "CONNECT"
    if target.verb == "patch" and content_type.startswith("application/apply-patch"):
        return "APPLY"
    return _VERBS.get(target.verb) or target.verb.upper()


def _scope(target: Target) -> str:
    if not target.resource:
        return ""
    if target.name or target.verb == "create":
        return "resource"
    return "namespace" if target.namespace else "cluster"


def build(told: Mapping[str, str]) -> Gauge:
    """Which Kubernetes this is: the answer of /version."""
    names = ("build_date", "compiler", "git_commit", "git_tree_state", "git_version", "go_version", "major", "minor",
             "platform")  # fmt: skip
    pairs = _pairs(names, tuple(told[_camel(name)] for name in names))
    return Gauge("kubernetes_build_info", "The version that runs.", {pairs: 1})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def pairs(**labels: str) -> str:
    """Labels as they stand in braces."""
    return _pairs(tuple(labels), tuple(labels.values()))


def _pairs(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _counter(name: str, about: str, values: Iterable[tuple[str, float]], kind: str = "counter") -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        yield f"{name}{{{labels}}} {value:.15g}" if labels else f"{name} {value:.15g}"


def _histogram(name: str, about: str, values: Mapping[Labels, Histogram]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} histogram"
    for labels, histogram in values.items():
        yield from histogram.lines(name, _pairs(_REQUEST, labels))
