"""Nodes that look alike to a pod, in groups: a decision costs what the groups cost, and a change what one node costs.

Pods of one template ask the same of every node, so what was seen of the nodes for the first of them serves for the
next: only nodes that have changed since are looked at again (`Snapshot.changes`). https://kubernetes.io/docs/reference/
scheduling/config/ names the scores; how they are weighed is in `decide`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from ..volumebinding import claim_names
from .plugins.contract import Alone, Check, Filter, Opinion, Score
from .snapshot import NodeInfo, PodInfo, Snapshot

KEPT = 32
"""Tables kept, the latest used; each has an entry for every node."""


class Chance(Protocol):
    """Breaks ties; random.Random is one."""

    def choice(self, seq: Sequence[Any], /) -> Any: ...


class Group:
    """Names of nodes, from which one can be taken out or picked at random in no time."""

    __slots__ = ("_at", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._at: dict[str, int] = {}

    def add(self, name: str) -> None:
        self._at[name] = len(self.names)
        self.names.append(name)

    def remove(self, name: str) -> None:
        at, last = self._at.pop(name), self.names.pop()
        if last != name:
            self.names[at] = last
            self._at[last] = at


class Table:
    """The nodes that pass a pod's filters, grouped by what its scores see of them."""

    def __init__(
        self, checks: Sequence[Check], alone: Sequence[tuple[Alone, int]], opinions: Sequence[tuple[Opinion, int]]
    ) -> None:
        self._checks = checks
        self._alone = [(item.score, weight) for item, weight in alone]
        self._opinions = opinions
        self._keys: dict[str, tuple[Any, ...]] = {}
        """Node -> (points of its own, what each opinion sees)."""
        self._groups: dict[tuple[Any, ...], Group] = {}
        self.epoch = self.clock = 0
        self.refused: tuple[int, Any] | None = None
        """The clock at which no node was left, and what was said then."""

    def look(self, info: NodeInfo) -> None:
        """See the node as it is now."""
        seen = [opinion.look(info) for opinion, _ in self._opinions]
        name = info.name
        for check in self._checks:
            if check(info) is not None:
                self._move(name, None)
                return
        points = 0
        for score, weight in self._alone:
            points += int(score(info)) * weight
        self._move(name, (points, *seen))

    def forget(self, name: str) -> None:
        for opinion, _ in self._opinions:
            opinion.forget(name)
        self._move(name, None)

    def _move(self, name: str, key: tuple[Any, ...] | None) -> None:
        before = self._keys.get(name)
        if before == key:
            return
        if before is not None:
            group = self._groups[before]
            group.remove(name)
            if not group.names:
                del self._groups[before]
        if key is None:
            del self._keys[name]
            return
        self._keys[name] = key
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = Group()
        found.add(name)

    def best(self) -> list[Group]:
        """The groups of the most points; none if no node is left."""
        groups = self._groups
        if len(groups) < 2:
            return list(groups.values())
        if not self._opinions:
            return [groups[max(groups)]]
        keys = list(groups)
        totals = [key[0] for key in keys]
        for index, (opinion, weight) in enumerate(self._opinions, 1):
            values = opinion.judge([(key[index], len(groups[key].names)) for key in keys])
            if values is not None:
                totals = [total + weight * int(value) for total, value in zip(totals, values, strict=True)]
        most = max(totals)
        return [groups[key] for key, total in zip(keys, totals, strict=True) if total == most]

    def pick(self, chance: Chance) -> str | None:
        """One of the best nodes."""
        found = self.best()
        if not found:
            return None
        if len(found) == 1:
            names = found[0].names
            return names[0] if len(names) == 1 else str(chance.choice(names))
        at: int = chance.choice(range(sum(len(group.names) for group in found)))
        for group in found:
            if at < len(group.names):
                return group.names[at]
            at -= len(group.names)
        raise AssertionError("a number beyond the groups")


class Tables:
    """A table for each kind of pod, as far as one can be kept: not where a filter depends on other nodes."""

    def __init__(self, filters: Sequence[Filter], scores: Sequence[Score]) -> None:
        self._filters = filters
        self._scores = scores
        self._tables: OrderedDict[bytes, Table] = OrderedDict()

    def find(self, pod: PodInfo, snapshot: Snapshot) -> Table | None:
        """The pod's table, up to date; None where there can be none."""
        changes = snapshot.changes
        if changes is None:
            return None
        kind = signature(pod)
        table = self._tables.get(kind)
        names = changes.since(table.clock) if table is not None and table.epoch == changes.epoch else None
        if table is None or names is None or len(names) > len(snapshot) // 2 + 1:
            table = self._build(pod, snapshot)
            if table is None:
                self._tables.pop(kind, None)
                return None
            table.epoch = changes.epoch
            self._keep(kind, table)
        else:
            self._refresh(table, names, snapshot)
            self._tables.move_to_end(kind)
        table.clock = changes.clock
        return table

    def _build(self, pod: PodInfo, snapshot: Snapshot) -> Table | None:
        checks: list[Check] = []
        for item in self._filters:
            check = item.prepare(pod, snapshot)
            if check is not None and not item.local:
                return None
            if check is not None:
                checks.append(check)
        made = [(item, item.prepare(pod, snapshot)) for item in self._scores]
        table = Table(
            checks,
            [(found, item.weight) for item, found in made if isinstance(found, Alone)],
            [(found, item.weight) for item, found in made if found is not None and not isinstance(found, Alone)],
        )
        for info in snapshot.nodes.values():
            table.look(info)
        return table

    @staticmethod
    def _refresh(table: Table, names: Iterable[str], snapshot: Snapshot) -> None:
        for name in names:
            info = snapshot.nodes.get(name)
            if info is None:
                table.forget(name)
            else:
                table.look(info)

    def _keep(self, kind: bytes, table: Table) -> None:
        self._tables[kind] = table
        self._tables.move_to_end(kind)
        if len(self._tables) > KEPT:
            self._tables.popitem(last=False)


def signature(pod: PodInfo) -> bytes:
    """The same for pods that no filter and no score can tell apart."""
    spec = pod.obj.get("spec") or {}
    return orjson.dumps(
        (
            pod.namespace,
            pod.labels,
            pod.owner,
            pod.priority,
            pod.requests,
            pod.scored,
            sorted(pod.ports),
            spec.get("schedulerName"),
            spec.get("preemptionPolicy"),
            spec.get("nodeName"),
            spec.get("nodeSelector"),
            spec.get("affinity"),
            spec.get("tolerations"),
            spec.get("topologySpreadConstraints"),
            [item.get("image") for item in spec.get("containers") or ()],
            sorted(claim_names(pod.obj)) if spec.get("volumes") else (),
        )
    )
