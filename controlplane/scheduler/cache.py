"""The nodes with what runs on them, kept from events; pods being bound are assumed there already. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping

from .snapshot import Changes, NodeInfo, Object, PodInfo, Snapshot, Storage, node_info


class Cache:
    """Invariant: every pod is on at most one node; a pod of a node not seen yet waits in a NodeInfo of no resources."""

    def __init__(self, storage: Storage | None = None) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        """Nodes that exist."""
        self._unseen: dict[str, NodeInfo] = {}
        """Nodes that do not, with the pods that are said to be there."""
        self._where: dict[str, str] = {}
        """Pod uid -> node."""
        self._assumed: set[str] = set()
        self._nominated: dict[str, tuple[str, PodInfo]] = {}
        """Pod uid -> the node where room is being made for it."""
        self._shy: dict[str, set[str]] = {}
        """Node -> uids of its pods that have a required anti-affinity."""
        self._changes = Changes()
        self._storage = storage
        self._snapshot: Snapshot | None = None
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._budgets: dict[tuple[str, str], Object] = {}

    def snapshot(self) -> Snapshot:
        """The nodes as they are until the next change: decide on it before anything else happens."""
        if self._snapshot is None:
            promised: dict[str, list[PodInfo]] = {}
            for node, pod in self._nominated.values():
                promised.setdefault(node, []).append(pod)
            self._snapshot = Snapshot(
                self._nodes,
                storage=self._storage,
                namespaces=self._namespaces,
                budgets=tuple(self._budgets.values()),
                nominated=promised,
                shy=tuple(name for name in self._shy if name in self._nodes),
                changes=self._changes,
            )
        return self._snapshot

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace's labels, or that it is gone."""
        if labels is None:
            self._namespaces.pop(name, None)
        elif self._namespaces.get(name) == labels:
            return
        else:
            self._namespaces[name] = labels
        self._changes.epoch += 1

    def set_budget(self, key: tuple[str, str], budget: Object | None) -> None:
        if budget is None:
            self._budgets.pop(key, None)
        else:
            self._budgets[key] = budget
        self._snapshot = None

    def nominate(self, pod: PodInfo) -> None:
        """Keep in mind the node that a waiting pod was promised, or that it was promised none."""
        node = (pod.obj.get("status") or {}).get("nominatedNodeName")
        if node:
            self._nominated[pod.uid] = node, pod
            self._snapshot = None
        else:
            self._unpromise(pod.uid)

    def _unpromise(self, uid: str) -> bool:
        if self._nominated.pop(uid, None) is None:
            return False
        self._snapshot = None
        return True

    def node(self, name: str) -> NodeInfo | None:
        return self._nodes.get(name)

    def set_node(self, node: Object) -> None:
        name = node["metadata"]["name"]
        found = self._nodes.get(name) or self._unseen.pop(name, None)
        if name not in self._nodes and name in self._shy:
            self._bump()
        self._nodes[name] = found.with_node(node) if found is not None else node_info(node)
        self._changes.note(name)

    def remove_node(self, name: str) -> None:
        found = self._nodes.pop(name, None)
        if found is not None and found.pods:
            self._unseen[name] = found
            if name in self._shy:
                self._bump()
        self._changes.note(name)

    def add_pod(self, pod: PodInfo, node: str) -> None:
        """A pod is on a node, as the API says: confirms what was assumed, or corrects it."""
        self._assumed.discard(pod.uid)
        self._place(pod, node)

    def assume(self, pod: PodInfo, node: str) -> None:
        """A pod is about to be bound to a node: its resources are taken from now on."""
        self._assumed.add(pod.uid)
        self._place(pod, node)

    def forget(self, uid: str) -> bool:
        """The binding failed. False when the API has confirmed the pod in the meantime."""
        if uid not in self._assumed:
            return False
        self.remove_pod(uid)
        return True

    def confirm(self, old: Object, new: Object, node: str) -> bool:
        """Whether the pod is assumed there and nothing but its binding has changed: it is, and nobody need look."""
        uid = new["metadata"].get("uid") or ""
        if uid not in self._assumed or self._where.get(uid) != node or new["metadata"].get("deletionTimestamp"):
            return False
        if old["metadata"].get("labels") != new["metadata"].get("labels"):
            return False
        if (old.get("spec") or {}).get("containers") != (new.get("spec") or {}).get("containers"):
            return False
        self._assumed.discard(uid)
        return True

    def is_promised(self, uid: str) -> bool:
        return uid in self._nominated

    def is_assumed(self, uid: str) -> bool:
        return uid in self._assumed

    def remove_pod(self, uid: str) -> bool:
        """Whether the pod was on a node, or was promised one: room is there again."""
        promised = self._unpromise(uid)
        self._assumed.discard(uid)
        node = self._where.pop(uid, None)
        if node is None:
            return promised
        self._reticent(node, uid, False)
        info = (self._nodes.get(node) or self._unseen[node]).without_pod(uid)
        if node in self._nodes:
            self._nodes[node] = info
            self._changes.note(node)
        elif info.pods:
            self._unseen[node] = info
        else:
            del self._unseen[node]
        return True

    def _place(self, pod: PodInfo, node: str) -> None:
        self._unpromise(pod.uid)
        if (before := self._where.get(pod.uid)) is not None and before != node:
            assumed = pod.uid in self._assumed
            self.remove_pod(pod.uid)
            if assumed:
                self._assumed.add(pod.uid)
        self._where[pod.uid] = node
        self._reticent(node, pod.uid, pod.shy)
        if (info := self._nodes.get(node)) is not None:
            self._nodes[node] = info.with_pod(pod)
            self._changes.note(node)
        else:
            info = self._unseen.get(node) or NodeInfo(node, {"metadata": {"name": node}}, {})
            self._unseen[node] = info.with_pod(pod)

    def _reticent(self, node: str, uid: str, shy: bool) -> None:
        """Keep count of the nodes where somebody may be against a newcomer."""
        here = self._shy.get(node)
        if not shy and (here is None or uid not in here):
            return
        here = self._shy.setdefault(node, set())
        if shy:
            here.add(uid)
        else:
            here.discard(uid)
            if not here:
                del self._shy[node]
        self._bump()

    def _bump(self) -> None:
        self._changes.epoch += 1
        self._snapshot = None
