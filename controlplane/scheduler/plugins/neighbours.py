"""InterPodAffinity: pods that want to be with, or away from, other pods.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
Namespaces are meant by name, by their labels, or, where nothing is said, the pod's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from panal.selectors import LabelSelector, from_label_selector

from ..snapshot import NodeInfo, PodInfo, Snapshot
from .contract import Check, Refusal, Seen
from .domains import Domains

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True)
class Term:
    key: str
    selector: LabelSelector
    namespaces: frozenset[str]
    chosen: LabelSelector
    """Namespaces by their labels, besides those by name."""
    labels: Mapping[str, Mapping[str, str]]
    """Of each namespace."""

    def matches(self, pod: PodInfo) -> bool:
        here = pod.namespace in self.namespaces or self.chosen.matches(self.labels.get(pod.namespace) or {})
        return here and self.selector.matches(pod.labels)

    def count(self, info: NodeInfo) -> int:
        return sum(self.matches(other) for other in info.pods.values())


def _term(pod: PodInfo, raw: Mapping[str, Any], snapshot: Snapshot) -> Term:
    selector = dict(raw.get("labelSelector") or {})
    exact = {key: pod.labels[key] for key in raw.get("matchLabelKeys") or () if key in pod.labels}
    if exact:
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **exact}
    chosen, named = raw.get("namespaceSelector"), raw.get("namespaces") or ()
    own = (pod.namespace,) if chosen is None and not named else ()
    return Term(
        str(raw.get("topologyKey")),
        from_label_selector(selector),
        frozenset((*named, *own)),
        from_label_selector(chosen),
        snapshot.namespaces,
    )


def terms(pod: PodInfo, kind: str, snapshot: Snapshot) -> list[Term]:
    """The required terms of podAffinity or podAntiAffinity."""
    affinity = ((pod.obj.get("spec") or {}).get("affinity") or {}).get(kind) or {}
    return [_term(pod, raw, snapshot) for raw in affinity.get(REQUIRED) or ()]


def weighted(pod: PodInfo, kind: str, snapshot: Snapshot) -> list[tuple[int, Term]]:
    affinity = ((pod.obj.get("spec") or {}).get("affinity") or {}).get(kind) or {}
    return [
        (int(raw.get("weight") or 0), _term(pod, raw["podAffinityTerm"], snapshot))
        for raw in affinity.get(PREFERRED) or ()
    ]


def _domains(term: Term, snapshot: Snapshot) -> Counter[str]:
    """Pods that the term means, by domain of its topology."""
    found: Counter[str] = Counter()
    for info in snapshot.nodes.values():
        if (domain := info.labels.get(term.key)) is not None:
            found[domain] += term.count(info)
    return found


def _forbidden(pod: PodInfo, snapshot: Snapshot) -> set[tuple[str, str]]:
    """(topology key, domain) where a running pod does not want this one."""
    found: set[tuple[str, str]] = set()
    for name in snapshot.shy if snapshot.shy is not None else snapshot.nodes:
        info = snapshot.nodes[name]
        for other in info.pods.values():
            if other.shy:
                for term in terms(other, "podAntiAffinity", snapshot):
                    if term.key in info.labels and term.matches(pod):
                        found.add((term.key, info.labels[term.key]))
    return found


def neighbours_fit(pod: PodInfo, snapshot: Snapshot) -> Check | None:
    wanted = [(term, _domains(term, snapshot)) for term in terms(pod, "podAffinity", snapshot)]
    unwanted = [(term, _domains(term, snapshot)) for term in terms(pod, "podAntiAffinity", snapshot)]
    forbidden = _forbidden(pod, snapshot)
    if not wanted and not unwanted and not forbidden:
        return None
    # The first of a group that wants to be together is let in where nobody is yet.
    first = not any(sum(counts.values()) for _, counts in wanted) and all(term.matches(pod) for term, _ in wanted)
    lonely = Refusal(("node(s) didn't match pod affinity rules",), final=True)
    crowded = Refusal(("node(s) didn't match pod anti-affinity rules",))
    refused = Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",))

    def check(info: NodeInfo) -> Refusal | None:
        for term, counts in wanted:
            domain = info.labels.get(term.key)
            if domain is None or not (counts[domain] or first):
                return lonely
        for term, counts in unwanted:
            if (domain := info.labels.get(term.key)) is not None and counts[domain]:
                return crowded
        if any(info.labels.get(key) == domain for key, domain in forbidden):
            return refused
        return None

    return check


class Liking:
    """The sum of the weights of preferred terms, of anti-affinities negatively."""

    def __init__(self, opinions: Sequence[tuple[int, Term]]) -> None:
        self._weights = [weight for weight, _ in opinions]
        self._domains = [Domains(term.key, term.count) for _, term in opinions]

    def look(self, info: NodeInfo) -> Hashable:
        return tuple([domains.look(info) for domains in self._domains])

    def forget(self, name: str) -> None:
        for domains in self._domains:
            domains.forget(name)

    def judge(self, seen: Seen) -> Sequence[float] | None:
        raw = [
            sum(
                weight * domains.of(part)
                for weight, domains, part in zip(self._weights, self._domains, parts, strict=True)
            )
            for parts, _ in seen
        ]
        most, least = max(raw), min(raw)
        if most == least:
            return None
        return [100.0 * (value - least) / (most - least) for value in raw]


def neighbours_score(pod: PodInfo, snapshot: Snapshot) -> Liking | None:
    opinions = [(weight, term) for weight, term in weighted(pod, "podAffinity", snapshot)]
    opinions += [(-weight, term) for weight, term in weighted(pod, "podAntiAffinity", snapshot)]
    return Liking(opinions) if opinions else None
