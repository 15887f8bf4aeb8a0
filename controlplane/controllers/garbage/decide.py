"""What becomes of one object, given how its owners fare. Pure.

Follows https://kubernetes.io/docs/concepts/architecture/garbage-collection/: an object whose owners are all gone is
deleted; references to owners that are gone are dropped while another owner stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .graph import FOREGROUND, Graph, Node

Fate = Literal["here", "waiting", "gone"]
"""An owner exists; or it is being deleted and waits for its dependents; or it does not exist."""


@dataclass(frozen=True)
class Delete:
    propagation: Literal["Background", "Foreground", "Orphan"]
    unblock: tuple[Node, ...] = ()
    """Dependents whose references must stop blocking first: they form a circle."""


@dataclass(frozen=True)
class DropOwners:
    uids: frozenset[str]


@dataclass(frozen=True)
class ReleaseDependents:
    """The object is deleted leaving its dependents behind: drop their references, then the finalizer."""

    dependents: tuple[Node, ...]


@dataclass(frozen=True)
class RemoveFinalizer:
    finalizer: str


@dataclass(frozen=True)
class LookAt:
    """The foreground deletion waits for these."""

    uids: frozenset[str]


@dataclass(frozen=True)
class AskOwners:
    """Decide again, with `decide_by_owners`, once it is known how the owners fare."""


Action = Delete | DropOwners | ReleaseDependents | RemoveFinalizer | LookAt | AskOwners


def decide(graph: Graph, node: Node) -> Action | None:
    """What the object's own state asks for; None for nothing."""
    if node.deleting and node.orphan:
        return ReleaseDependents(tuple(graph.dependents(node.uid)))
    if node.deletes_dependents:
        blocking = graph.blocking(node.uid)
        if not blocking:
            return RemoveFinalizer(FOREGROUND)
        waiting = frozenset(item.uid for item in blocking if not item.deleting or item.deletes_dependents)
        return LookAt(waiting) if waiting else None
    if node.deleting or not node.owners:
        return None
    return AskOwners()


def known_fates(graph: Graph, node: Node) -> dict[str, Fate | None]:
    """How the owners fare by uid, as far as the graph knows; None where the API must be asked."""
    fates: dict[str, Fate | None] = {}
    for owner in node.owners:
        found = graph.get(owner.uid)
        if found is None or (found.name, found.resource.kind) != (owner.name, owner.kind):
            fates[owner.uid] = None
        else:
            fates[owner.uid] = "waiting" if found.deletes_dependents else "here"
    return fates


def decide_by_owners(graph: Graph, node: Node, fates: Mapping[str, Fate]) -> Action | None:
    here = {owner for owner, fate in fates.items() if fate == "here"}
    waiting = {owner for owner, fate in fates.items() if fate == "waiting"}
    gone = set(fates) - here - waiting
    if here:
        return DropOwners(frozenset(gone | waiting)) if gone or waiting else None
    if not fates:
        return None
    dependents: Sequence[Node] = graph.dependents(node.uid)
    if waiting and dependents:
        circle = tuple(item for item in dependents if item.deletes_dependents)
        return Delete("Foreground", circle and (node,))
    if node.orphan:
        return Delete("Orphan")
    return Delete("Foreground" if node.foreground else "Background")
