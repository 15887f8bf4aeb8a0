"""One pod and a snapshot in, a node or the reasons against every node out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .alike import Chance, Tables
from .plugins import FILTERS, SCORES
from .plugins.contract import Alone, Everywhere, Filter, Refusal, Score
from .snapshot import NodeInfo, PodInfo, Snapshot


@dataclass(frozen=True)
class Placed:
    node: str


@dataclass(frozen=True)
class Refused:
    """No node takes the pod."""

    refusals: dict[str, Refusal]
    """By node."""
    filters: frozenset[str]
    """Names of the filters that refused some node; empty when there is no node at all."""
    preempts: bool = True
    """Whether the pod's policy allows it to push others out."""


Outcome = Placed | Refused


def schedule(
    pod: PodInfo,
    snapshot: Snapshot,
    chance: Chance,
    filters: Sequence[Filter] = FILTERS,
    scores: Sequence[Score] = SCORES,
    tables: Tables | None = None,
) -> Outcome:
    """`tables`, of the same filters and scores, remember what was seen of the nodes for pods like this one."""
    if tables is not None and not snapshot.nominated and (table := tables.find(pod, snapshot)) is not None:
        if (found := table.pick(chance)) is not None:
            return Placed(found)
        if table.refused is None or table.refused[0] != table.clock:
            table.refused = table.clock, feasible_nodes(pod, snapshot, filters)[1]
        if isinstance(outcome := table.refused[1], Refused):
            return outcome
    feasible, refused = with_promises(pod, snapshot, filters)
    if isinstance(refused, Refused):
        return refused
    if len(feasible) == 1:
        return Placed(feasible[0].name)
    return Placed(best(pod, snapshot, feasible, chance, scores))


APART = Refusal(("node(s) didn't match pod affinity rules",))
"""Where it fits it fits only beside pods that may not come, and where it fits without them it is in their way."""


def with_promises(
    pod: PodInfo, snapshot: Snapshot, filters: Sequence[Filter] = FILTERS
) -> tuple[list[NodeInfo], Refused | None]:
    """The nodes that take the pod both as they are and with the pods, as important or more, that were promised them.

    Both are asked because a promised pod may be the neighbour that this one wants, and may never come.
    """
    promised = {
        name: others
        for name, pods in snapshot.nominated.items()
        if name in snapshot.nodes
        and (others := [other for other in pods if other.uid != pod.uid and other.priority >= pod.priority])
    }
    feasible, refused = feasible_nodes(pod, snapshot, filters)
    if refused is not None or not promised:
        return feasible, refused
    fuller = dict(snapshot.nodes)
    for name, others in promised.items():
        for other in others:
            fuller[name] = fuller[name].with_pod(other)
    left, stricter = feasible_nodes(pod, replace(snapshot, nodes=fuller), filters)
    if stricter is not None:
        return [], stricter
    names = {info.name for info in left}
    both = [info for info in feasible if info.name in names]
    if both:
        return both, None
    return [], Refused(dict.fromkeys(snapshot.nodes, APART), frozenset({"InterPodAffinity"}))


def feasible_nodes(
    pod: PodInfo, snapshot: Snapshot, filters: Sequence[Filter] = FILTERS
) -> tuple[list[NodeInfo], Refused | None]:
    """The nodes that pass every filter; when there is none, why."""
    checks = [(item.name, check) for item in filters if (check := item.prepare(pod, snapshot)) is not None]
    for name, check in checks:
        if isinstance(check, Everywhere):
            policy = (pod.obj.get("spec") or {}).get("preemptionPolicy")
            everywhere = dict.fromkeys(snapshot.nodes, check.refusal)
            return [], Refused(everywhere, frozenset({name}), preempts=policy != "Never")
    feasible: list[NodeInfo] = []
    refusals: dict[str, Refusal] = {}
    blamed: set[str] = set()
    for info in snapshot.nodes.values():
        for name, check in checks:
            if (refusal := check(info)) is not None:
                refusals[info.name] = refusal
                blamed.add(name)
                break
        else:
            feasible.append(info)
    if feasible:
        return feasible, None
    policy = (pod.obj.get("spec") or {}).get("preemptionPolicy")
    return [], Refused(refusals, frozenset(blamed), preempts=policy != "Never")


def opinions(
    pod: PodInfo, snapshot: Snapshot, feasible: Sequence[NodeInfo], scores: Sequence[Score] = SCORES
) -> Iterator[tuple[Score, Sequence[float]]]:
    """Each score that has something to say, with its values for the feasible nodes, in order."""
    for item in scores:
        found = item.prepare(pod, snapshot)
        if isinstance(found, Alone):
            yield item, [found.score(info) for info in feasible]
        elif found is not None:
            seen = {info.name: found.look(info) for info in snapshot.nodes.values()}
            values = found.judge([(seen[info.name], 1) for info in feasible])
            if values is not None:
                yield item, values


def best(
    pod: PodInfo, snapshot: Snapshot, feasible: Sequence[NodeInfo], chance: Chance, scores: Sequence[Score] = SCORES
) -> str:
    return str(chance.choice(favourites(pod, snapshot, feasible, scores)))


def favourites(
    pod: PodInfo, snapshot: Snapshot, feasible: Sequence[NodeInfo], scores: Sequence[Score] = SCORES
) -> list[str]:
    """The names of those of the most points."""
    totals = [0] * len(feasible)
    for item, values in opinions(pod, snapshot, feasible, scores):
        for index, value in enumerate(values):
            totals[index] += item.weight * int(value)
    most = max(totals)
    return [info.name for info, total in zip(feasible, totals, strict=True) if total == most]


NO_VICTIMS = "No preemption victims found for incoming pod"


def message(refused: Refused, *, room: bool = False) -> str:
    """The refusal in kube-scheduler's words; `room` is being made for the pod: then nothing is said of preemption."""
    total = len(refused.refusals)
    if total == 0:
        return "no nodes available to schedule pods"
    said = Counter(reason for refusal in refused.refusals.values() for reason in refusal.reasons)
    whole = next((refusal.reasons[0] for refusal in refused.refusals.values() if refusal.whole), None)
    text = f"0/{total} nodes are available: {whole or _histogram(said)}."
    if room:
        return text
    if not refused.preempts:
        return f"{text} preemption: not eligible due to preemptionPolicy=Never."
    helpless = sum(refusal.final for refusal in refused.refusals.values())
    help_ = Counter({"Preemption is not helpful for scheduling": helpless, NO_VICTIMS: total - helpless})
    return f"{text} preemption: 0/{total} nodes are available: {_histogram(+help_)}."


def _histogram(counts: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
