"""The nodes with what runs on them, kept from events; pods being bound are assumed there already. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping

from .snapshot import NodeInfo, Object, PodInfo, Snapshot, node_info


class Cache:
    """Invariant: every pod is on at most one node; a pod of a node not seen yet waits in a NodeInfo of no resources."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._known: set[str] = set()
        """Nodes that exist, among those that have pods."""
        self._where: dict[str, str] = {}
        """Pod uid -> node."""
        self._assumed: set[str] = set()
        self._nominated: dict[str, tuple[str, PodInfo]] = {}
        """Pod uid -> the node where room is being made for it."""
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.budgets: dict[tuple[str, str], Object] = {}

    def snapshot(self) -> Snapshot:
        """The nodes as they are now; later changes replace entries and do not show in it."""
        promised: dict[str, list[PodInfo]] = {}
        for node, pod in self._nominated.values():
            promised.setdefault(node, []).append(pod)
        nodes = {name: info for name, info in self._nodes.items() if name in self._known}
        budgets = tuple(self.budgets.values())
        return Snapshot(nodes, namespaces=dict(self.namespaces), budgets=budgets, nominated=promised)

    def nominate(self, pod: PodInfo) -> None:
        """Keep in mind the node that a waiting pod was promised, or that it was promised none."""
        node = (pod.obj.get("status") or {}).get("nominatedNodeName")
        if node:
            self._nominated[pod.uid] = node, pod
        else:
            self._nominated.pop(pod.uid, None)

    def node(self, name: str) -> NodeInfo | None:
        return self._nodes.get(name) if name in self._known else None

    def set_node(self, node: Object) -> None:
        name = node["metadata"]["name"]
        found = self._nodes.get(name)
        self._nodes[name] = found.with_node(node) if found is not None else node_info(node)
        self._known.add(name)

    def remove_node(self, name: str) -> None:
        self._known.discard(name)
        found = self._nodes.get(name)
        if found is not None and not found.pods:
            del self._nodes[name]

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

    def is_assumed(self, uid: str) -> bool:
        return uid in self._assumed

    def remove_pod(self, uid: str) -> bool:
        """Whether the pod was on a node, or was promised one: room is there again."""
        promised = self._nominated.pop(uid, None) is not None
        self._assumed.discard(uid)
        node = self._where.pop(uid, None)
        if node is None:
            return promised
        info = self._nodes[node].without_pod(uid)
        if info.pods or node in self._known:
            self._nodes[node] = info
        else:
            del self._nodes[node]
        return True

    def _place(self, pod: PodInfo, node: str) -> None:
        self._nominated.pop(pod.uid, None)
        if (before := self._where.get(pod.uid)) is not None and before != node:
            assumed = pod.uid in self._assumed
            self.remove_pod(pod.uid)
            if assumed:
                self._assumed.add(pod.uid)
        info = self._nodes.get(node)
        if info is None:
            info = NodeInfo(node, {"metadata": {"name": node}}, {})
        self._nodes[node] = info.with_pod(pod)
        self._where[pod.uid] = node
