"""Who owns whom, over all resources: metadata only. Pure.

The graph is fed what informers see; `observe` and `remove` return the uids worth a look (`decide` says what to do
then). It holds one small node an object, and for every owner, present or not, the uids of its dependents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from panal.resources import Resource

from ..meta import Object, is_deleting, metadata, name, namespace, uid

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Owner:
    api_version: str
    kind: str
    name: str
    uid: str
    blocking: bool
    """The owner's foreground deletion waits for this dependent."""


@dataclass(frozen=True, slots=True)
class Node:
    resource: Resource
    namespace: str
    name: str
    uid: str
    owners: tuple[Owner, ...]
    deleting: bool
    foreground: bool
    """It has the finalizer foregroundDeletion."""
    orphan: bool
    """It has the finalizer orphan."""

    @property
    def deletes_dependents(self) -> bool:
        return self.deleting and self.foreground


def node_of(resource: Resource, obj: Object) -> Node:
    finalizers = metadata(obj).get("finalizers") or ()
    return Node(
        resource=resource,
        namespace=namespace(obj),
        name=name(obj),
        uid=uid(obj),
        owners=tuple(owners_of(obj)),
        deleting=is_deleting(obj),
        foreground=FOREGROUND in finalizers,
        orphan=ORPHAN in finalizers,
    )


def owners_of(obj: Object) -> Iterator[Owner]:
    for reference in metadata(obj).get("ownerReferences") or ():
        yield Owner(
            str(reference.get("apiVersion") or ""),
            str(reference.get("kind") or ""),
            str(reference.get("name") or ""),
            str(reference.get("uid") or ""),
            bool(reference.get("blockOwnerDeletion")),
        )


class Graph:
    """Invariant: `dependents[u]` is exactly the set of nodes with an owner of uid u."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, set[str]] = {}

    def get(self, wanted: str) -> Node | None:
        return self._nodes.get(wanted)

    def __len__(self) -> int:
        return len(self._nodes)

    def dependents(self, owner: str) -> list[Node]:
        return [self._nodes[item] for item in sorted(self._dependents.get(owner, ()))]

    def ownerless(self) -> set[str]:
        """Nodes with an owner that is not among the nodes: gone, or of a resource that is not followed yet."""
        return {item for owner, group in self._dependents.items() if owner not in self._nodes for item in group}

    def blocking(self, owner: str) -> list[Node]:
        """Dependents that the owner's foreground deletion must wait for."""
        return [
            node for node in self.dependents(owner) if any(item.uid == owner and item.blocking for item in node.owners)
        ]

    def observe(self, node: Node) -> set[str]:
        """Take in a node's present state; the uids that may need something done."""
        old = self._nodes.get(node.uid)
        self._nodes[node.uid] = node
        if old is None or old.owners != node.owners:
            self._link(node, old)
        look: set[str] = set()
        if node.deleting and (node.orphan or node.foreground):
            look.add(node.uid)
            if node.foreground:
                look.update(self._dependents.get(node.uid, ()))
        if old is None or old.owners != node.owners:
            if any(self._needs_look(item) for item in node.owners):
                look.add(node.uid)
            freed = set(old.owners if old else ()) - set(node.owners)
            look.update(self._waiting(freed))
        return look

    def _needs_look(self, owner: Owner) -> bool:
        found = self._nodes.get(owner.uid)
        return found is None or found.deleting

    def remove(self, gone: str) -> set[str]:
        """An object is no more: its dependents may be garbage, and its owners may have waited for it."""
        old = self._nodes.pop(gone, None)
        if old is None:
            return set()
        for owner in old.owners:
            self._unlink(owner.uid, gone)
        return set(self._dependents.get(gone, ())) | self._waiting(old.owners)

    def _waiting(self, owners: Iterable[Owner]) -> set[str]:
        found = (self._nodes.get(owner.uid) for owner in owners)
        return {node.uid for node in found if node is not None and node.deletes_dependents}

    def _link(self, node: Node, old: Node | None) -> None:
        for owner in old.owners if old else ():
            self._unlink(owner.uid, node.uid)
        for owner in node.owners:
            self._dependents.setdefault(owner.uid, set()).add(node.uid)

    def _unlink(self, owner: str, dependent: str) -> None:
        if (group := self._dependents.get(owner)) is not None:
            group.discard(dependent)
            if not group:
                del self._dependents[owner]
