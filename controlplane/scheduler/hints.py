"""Whether a change of one node may let a waiting pod in: the filters that refused it are asked about that node. Pure.

Pods of one kind get one answer. Upstream's queueing hints do the same, a function for each plugin and event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .alike import signature
from .plugins.contract import Filter
from .queue import Waiting
from .snapshot import NodeInfo, PodInfo, Snapshot


def about(
    info: NodeInfo, snapshot: Snapshot, filters: Callable[[PodInfo], Sequence[Filter]]
) -> Callable[[Waiting], bool]:
    """A hint for `Queue.wake`, for the node as it is now; `filters` are those of the pod's profile.

    A pod that was refused by filters which look at each node alone goes nowhere as long as one of them refuses the
    node that changed; what others say depends on other nodes, too.
    """
    known: dict[tuple[bytes, frozenset[str]], bool] = {}

    def may_help(item: Waiting) -> bool:
        blamed = [each for each in filters(item.pod) if each.name in item.blamed]
        if not blamed or not all(each.local for each in blamed):
            return True
        kind = signature(item.pod), item.blamed
        if (answer := known.get(kind)) is None:
            answer = known[kind] = all(_passes(each, item, info, snapshot) for each in blamed)
        return answer

    return may_help


def _passes(each: Filter, item: Waiting, info: NodeInfo, snapshot: Snapshot) -> bool:
    check = each.prepare(item.pod, snapshot)
    return check is None or check(info) is None
