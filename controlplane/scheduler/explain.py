"""Why a pod is where it is, or why it waits: every filter's and every score's answer for every node, with the numbers.

`explain` is pure and asks the plugins that the scheduler itself runs. `panal schedule --explain` starts this module as
a program of its own: what the API says goes in as one JSON document, the explanation comes out as another, so it works
while the scheduler is dead, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from ..volumebinding import class_of
from .cache import Cache
from .decide import Refused, message, opinions, with_promises
from .plugins import FILTERS, SCORES
from .preempt import preempt
from .snapshot import NodeInfo, Object, PodInfo, Snapshot, pod_info

Row = dict[str, Any]


def snapshot_of(
    nodes: Iterable[Object],
    pods: Iterable[Object],
    without: str,
    namespaces: Iterable[Object] = (),
    budgets: Iterable[Object] = (),
) -> Snapshot:
    """The cluster without the pod of that uid, as it is when the pod is decided on."""
    cache = Cache()
    for node in nodes:
        cache.set_node(node)
    for pod in pods:
        finished = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        node_name = (pod.get("spec") or {}).get("nodeName")
        if node_name and not finished and pod["metadata"].get("uid") != without:
            cache.add_pod(pod_info(pod), node_name)
        elif not finished and not node_name:
            cache.nominate(pod_info(pod))
    for item in namespaces:
        cache.set_namespace(item["metadata"]["name"], item["metadata"].get("labels") or {})
    for item in budgets:
        cache.set_budget((item["metadata"]["namespace"], item["metadata"]["name"]), item)
    return cache.snapshot()


class Listed:
    """Claims, volumes and classes as lists of the API gave them: a `snapshot.Storage`."""

    def __init__(self, claims: Iterable[Object], volumes: Iterable[Object], classes: Iterable[Object]) -> None:
        self._claims = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in claims}
        self._volumes = {item["metadata"]["name"]: item for item in volumes}
        self._classes = {item["metadata"]["name"]: item for item in classes}

    def claim(self, namespace: str, name: str) -> Object | None:
        return self._claims.get((namespace, name))

    def volume(self, name: str) -> Object | None:
        return self._volumes.get(name)

    def storage_class(self, name: str) -> Object | None:
        return self._classes.get(name)

    def volumes(self, storage_class: str) -> list[Object]:
        return [item for item in self._volumes.values() if class_of(item) == storage_class]

    def kept_for(self, volume: str) -> str | None:
        return None


def explain(pod: Object, snapshot: Snapshot) -> Row:
    """Each node with its filters (all of them, also after the first refusal) and, if it passes, its scores.

    cpu is in thousandths of a core, all else in whole units; a score is 0..100, its points are score times weight.
    """
    spec = pod.get("spec") or {}
    bound, gates = spec.get("nodeName"), [gate.get("name") for gate in spec.get("schedulingGates") or ()]
    if bound:
        pod = {**pod, "spec": {key: value for key, value in spec.items() if key != "nodeName"}}
    info = pod_info(pod)
    feasible, refused = with_promises(info, snapshot)
    nodes = _nodes(info, snapshot, feasible)
    preemption = _preemption(info, snapshot, refused)
    return {
        "pod": {"namespace": info.namespace, "name": info.name, "requests": info.requests, "node": bound},
        "gates": gates,
        "nodes": nodes,
        "best": _best(nodes),
        "message": message(refused, room=preemption is not None) if refused is not None else None,
        "preemption": preemption,
    }


def _nodes(pod: PodInfo, snapshot: Snapshot, feasible: list[NodeInfo]) -> list[Row]:
    checks = [(item.name, item.prepare(pod, snapshot)) for item in FILTERS]
    scores: dict[str, list[Row]] = {info.name: [] for info in feasible}
    for score, values in opinions(pod, snapshot, feasible, SCORES) if feasible else ():
        for info, value in zip(feasible, values, strict=True):
            points = score.weight * int(value)
            scores[info.name].append(
                {"name": score.name, "score": int(value), "weight": score.weight, "points": points}
            )
    found = []
    for info in sorted(snapshot.nodes.values(), key=lambda item: item.name):
        given = scores.get(info.name)
        row: Row = {
            "name": info.name,
            "feasible": given is not None,
            "resources": _resources(pod, info),
            "filters": [_filter(name, check, pod, info) for name, check in checks],
            "scores": given or [],
            "total": sum(item["points"] for item in given) if given is not None else None,
        }
        found.append(row)
    return found


def _filter(name: str, check: Any, pod: PodInfo, info: NodeInfo) -> Row:
    refusal = check(info) if check is not None else None
    looks = NUMBERS.get(name)
    return {
        "name": name,
        "asked": check is not None,
        "passes": refusal is None,
        "reasons": list(refusal.reasons) if refusal is not None else [],
        "final": refusal is not None and refusal.final,
        "facts": looks(pod, info) if looks is not None and check is not None else [],
    }


def _resources(pod: PodInfo, info: NodeInfo) -> list[Row]:
    found = [
        {
            "name": name,
            "allocatable": info.allocatable.get(name, 0),
            "committed": info.requested.get(name, 0),
            "asked": pod.requests.get(name, 0),
        }
        for name in sorted({"cpu", "memory", *pod.requests})
    ]
    return [
        *found,
        {"name": "pods", "allocatable": info.allocatable.get("pods", 0), "committed": len(info.pods), "asked": 1},
    ]


def _resource_facts(pod: PodInfo, info: NodeInfo) -> list[str]:
    return [
        f"{row['name']}: the node has {amount(row['name'], row['allocatable'])}, "
        f"{amount(row['name'], row['committed'])} committed, the pod asks {amount(row['name'], row['asked'])}"
        for row in _resources(pod, info)
        if row["asked"] and (row["name"] != "pods" or row["committed"] >= row["allocatable"])
    ]


def _taint_facts(pod: PodInfo, info: NodeInfo) -> list[str]:
    return [f"taint {_taint(item)}" for item in info.taints]


def _taint(item: Mapping[str, Any]) -> str:
    value = f"={item['value']}" if item.get("value") else ""
    return f"{item.get('key', '')}{value}:{item.get('effect', '')}"


def _affinity_facts(pod: PodInfo, info: NodeInfo) -> list[str]:
    """The node's values of the labels that the pod speaks of."""
    spec = pod.obj.get("spec") or {}
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    keys = list(spec.get("nodeSelector") or ())
    for term in required.get("nodeSelectorTerms") or ():
        keys += [item.get("key", "") for item in term.get("matchExpressions") or ()]
    return [
        f"the node has {key}={info.labels[key]}" if key in info.labels else f"the node has no label {key}"
        for key in dict.fromkeys(keys)
    ]


def _port_facts(pod: PodInfo, info: NodeInfo) -> list[str]:
    wanted = {(protocol, number) for _, protocol, number in pod.ports}
    return [
        f"port {number}/{protocol} is taken by {other.namespace}/{other.name}"
        for other in info.pods.values()
        for _, protocol, number in sorted(other.ports)
        if (protocol, number) in wanted
    ]


NUMBERS: Mapping[str, Callable[[PodInfo, NodeInfo], list[str]]] = {
    "NodeResourcesFit": _resource_facts,
    "TaintToleration": _taint_facts,
    "NodeAffinity": _affinity_facts,
    "NodePorts": _port_facts,
}
"""What a filter looks at, in words, by the filter's name; a filter that is not here has its reasons only."""


def amount(name: str, value: int) -> str:
    """As people write it: 2.5 cores, 10Gi, 3 of anything else."""
    if name == "cpu":
        return f"{value / 1000:g}"
    if name == "memory" or name.startswith("hugepages-") or name == "ephemeral-storage":
        for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
            if value >= size and value * 10 % size == 0:
                return f"{value / size:g}{unit}"
        return f"{value / (1 << 20):.0f}Mi" if value >= 1 << 20 else str(value)
    return str(value)


def _best(nodes: Iterable[Row]) -> list[str]:
    """Those of the most points; kube-scheduler tosses a coin among them."""
    rows = [row for row in nodes if row["feasible"]]
    most = max((row["total"] for row in rows), default=0)
    return [row["name"] for row in rows if row["total"] == most]


def _preemption(pod: PodInfo, snapshot: Snapshot, refused: Refused | None) -> Row | None:
    found = preempt(pod, snapshot, refused) if refused is not None else None
    if found is None:
        return None
    return {"node": found.node, "victims": [f"{victim.namespace}/{victim.name}" for victim in found.victims]}


def main() -> int:
    """{"namespace", "name"} of the pod and lists of "nodes", "pods" and what else matters, on standard input.

    Exit code 3 where there is no such pod.
    """
    asked = orjson.loads(sys.stdin.buffer.read())
    key = asked["namespace"], asked["name"]
    named = (pod for pod in asked["pods"] if (pod["metadata"]["namespace"], pod["metadata"]["name"]) == key)
    pod = next(named, None)
    if pod is None:
        return 3
    snapshot = snapshot_of(
        asked["nodes"],
        asked["pods"],
        pod["metadata"].get("uid") or "",
        asked.get("namespaces") or (),
        asked.get("budgets") or (),
    )
    storage = Listed(*(asked.get(kind) or () for kind in ("claims", "volumes", "classes")))
    sys.stdout.buffer.write(orjson.dumps(explain(pod, replace(snapshot, storage=storage))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
