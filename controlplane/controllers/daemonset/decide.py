"""A DaemonSet, the nodes and its pods in; pods to create and delete, and the status, out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...scheduler.matching import affinity_matches, pinned_node, untolerated
from ..meta import (
    Object,
    controller_reference,
    created,
    is_deleting,
    labels,
    metadata,
    name,
    namespace,
    scaled_value,
    spec,
    status,
)
from ..pods import from_template, is_available, is_ready, phase
from ..revisions import HASH

NODE_FIELD = "metadata.name"
TEMPLATE_GENERATION = "pod-template-generation"
TOLERATIONS = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
"""Every daemon stays on a node in trouble, and may be placed there."""
HOST_NETWORK_TOLERATION = ("node.kubernetes.io/network-unavailable", "NoSchedule")


@dataclass(frozen=True)
class Failed:
    """A pod that ended although it should run: deleted, so that another takes its place."""

    pod: Object


@dataclass(frozen=True)
class Plan:
    create: tuple[str, ...] = ()
    """Names of nodes that get a pod."""
    delete: tuple[Object, ...] = ()
    failed: tuple[Failed, ...] = ()
    """Those among the deleted that had ended by themselves."""


def template(daemon: Object) -> Object:
    """The DaemonSet's pod template with the tolerations every daemon has."""
    found = spec(daemon).get("template") or {}
    pod_spec = found.get("spec") or {}
    wanted = TOLERATIONS + ((HOST_NETWORK_TOLERATION,) if pod_spec.get("hostNetwork") else ())
    tolerations = list(pod_spec.get("tolerations") or ())
    for key, effect in wanted:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in tolerations:
            tolerations.append(toleration)
    return {**found, "spec": {**pod_spec, "tolerations": tolerations}}


def new_pod(daemon: Object, node: str, digest: str) -> Object:
    """The daemon's pod for a node: bound there by the scheduler, through an affinity to the node's name."""
    found = template(daemon)
    own_labels = {**((found.get("metadata") or {}).get("labels") or {}), HASH: digest}
    if generation := (metadata(daemon).get("annotations") or {}).get("deprecated.daemonset.template.generation"):
        own_labels[TEMPLATE_GENERATION] = generation
    found = {**found, "metadata": {**(found.get("metadata") or {}), "labels": own_labels}}
    found = {**found, "spec": _pinned(found["spec"], node)}
    owner = controller_reference(daemon, "apps/v1", "DaemonSet")
    return from_template(found, namespace=namespace(daemon), owner=owner, prefix=f"{name(daemon)}-")


def _pinned(pod_spec: Object, node: str) -> Object:
    fields = [{"key": NODE_FIELD, "operator": "In", "values": [node]}]
    affinity = pod_spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    found: list[Object] = required.get("nodeSelectorTerms") or [{}]
    terms = [{**term, "matchFields": fields} for term in found]
    pinned = {**node_affinity, "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {**pod_spec, "affinity": {**affinity, "nodeAffinity": pinned}}


def node_of(pod: Object) -> str | None:
    """The node the pod runs on, or is meant for."""
    return spec(pod).get("nodeName") or pinned_node(pod)


def wants(daemon: Object, node: Object) -> tuple[bool, bool]:
    """(should run there, may go on running there)."""
    found = template(daemon)
    pod_spec = found["spec"]
    if pod_spec.get("nodeName") and pod_spec["nodeName"] != name(node):
        return False, False
    if not affinity_matches(found, node):
        return False, False
    taints, tolerations = spec(node).get("taints") or (), pod_spec["tolerations"]
    if untolerated(taints, tolerations, ("NoExecute",)) is not None:
        return False, False
    return untolerated(taints, tolerations, ("NoSchedule",)) is None, True


def by_node(pods: Sequence[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for pod in sorted(pods, key=lambda pod: (not spec(pod).get("nodeName"), created(pod), name(pod))):
        if (node := node_of(pod)) is not None:
            found.setdefault(node, []).append(pod)
    return found


def _alive(pods: Sequence[Object]) -> list[Object]:
    return [pod for pod in pods if not is_deleting(pod)]


def place(daemon: Object, nodes: Mapping[str, Object], pods: Sequence[Object], digest: str, now: float) -> Plan:
    """One pod on each node that should have it, none elsewhere; during a surge two, while the new one starts."""
    located = by_node(pods)
    surge = _limits(daemon, nodes)[0] > 0
    create: list[str] = []
    delete: list[Object] = []
    failed: list[Failed] = []
    for node_name, node in nodes.items():
        should, may_stay = wants(daemon, node)
        here = located.get(node_name, [])
        alive = _alive(here)
        if should and not here:
            create.append(node_name)
        elif not may_stay:
            delete += alive
        else:
            running = []
            for pod in alive:
                if phase(pod) in ("Failed", "Succeeded"):
                    delete.append(pod)
                    failed.append(Failed(pod))
                else:
                    running.append(pod)
            delete += _too_many(running, digest, surge)
    for node_name, here in located.items():
        if node_name not in nodes:
            delete += [pod for pod in _alive(here) if not spec(pod).get("nodeName")]
    return Plan(tuple(create), tuple(delete), tuple(failed))


def _too_many(running: list[Object], digest: str, surge: bool) -> list[Object]:
    if len(running) <= 1:
        return []
    if not surge:
        return running[1:]
    new = [pod for pod in running if labels(pod).get(HASH) == digest]
    old = [pod for pod in running if labels(pod).get(HASH) != digest]
    return new[1:] + old[1:]


def _limits(daemon: Object, nodes: Mapping[str, Object]) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) of the rolling update, in pods."""
    strategy = spec(daemon).get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    total = sum(wants(daemon, node)[0] for node in nodes.values())
    surge = scaled_value(rolling.get("maxSurge", 0), total, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", 1), total, round_up=True)
    return surge, unavailable if surge or unavailable else 1


def roll(daemon: Object, nodes: Mapping[str, Object], pods: Sequence[Object], digest: str, now: float) -> Plan:
    """The next step of a rolling update to the revision `digest`."""
    strategy = (spec(daemon).get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy != "RollingUpdate":
        return Plan()
    surge, unavailable = _limits(daemon, nodes)
    located = by_node(pods)
    ready_for = spec(daemon).get("minReadySeconds") or 0
    wanted = [node for node, obj in nodes.items() if wants(daemon, obj)[0]]
    if surge > 0:
        return _roll_surging(wanted, located, digest, surge, ready_for, now)
    return _roll_replacing(wanted, located, digest, unavailable, ready_for, now)


def _split(pods: Sequence[Object], digest: str) -> tuple[Object | None, Object | None] | None:
    """(new, old) pod of a node; None while there are several of one sort."""
    new = [pod for pod in _alive(pods) if labels(pod).get(HASH) == digest]
    old = [pod for pod in _alive(pods) if labels(pod).get(HASH) != digest]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def _roll_replacing(
    wanted: Sequence[str], located: Mapping[str, list[Object]], digest: str, limit: int, ready_for: int, now: float
) -> Plan:
    unavailable, replace, candidates = 0, [], []
    for node in wanted:
        pair = _split(located.get(node, ()), digest)
        if pair is None:
            unavailable += 1
            continue
        new, old = pair
        if old is None:
            unavailable += new is None or not is_available(new, ready_for, now)
        elif not is_available(old, ready_for, now):
            unavailable += 1
            replace.append(old)
        else:
            candidates.append(old)
    return Plan(delete=(*replace, *candidates[: max(0, limit - unavailable)]))


def _roll_surging(
    wanted: Sequence[str], located: Mapping[str, list[Object]], digest: str, limit: int, ready_for: int, now: float
) -> Plan:
    surging, create, candidates, delete = 0, [], [], []
    for node in wanted:
        pair = _split(located.get(node, ()), digest)
        if pair is None:
            surging += 1
            continue
        new, old = pair
        if old is None:
            continue
        if new is not None:
            if is_available(new, ready_for, now):
                delete.append(old)
            else:
                surging += 1
        elif not is_available(old, ready_for, now):
            create.append(node)
        else:
            candidates.append(node)
    return Plan(create=(*create, *candidates[: max(0, limit - surging)]), delete=tuple(delete))


def new_status(daemon: Object, nodes: Mapping[str, Object], pods: Sequence[Object], digest: str, now: float) -> Object:
    located = by_node(pods)
    ready_for = spec(daemon).get("minReadySeconds") or 0
    desired = current = misscheduled = ready = available = updated = 0
    for node_name, node in nodes.items():
        should, _ = wants(daemon, node)
        here = [pod for pod in located.get(node_name, ()) if not is_deleting(pod)]
        if not should:
            misscheduled += bool(here)
            continue
        desired += 1
        if not here:
            continue
        current += 1
        first = min(here, key=created)
        ready += is_ready(first)
        available += is_available(first, ready_for, now)
        updated += labels(first).get(HASH) == digest
    out: Object = {
        "currentNumberScheduled": current,
        "numberMisscheduled": misscheduled,
        "desiredNumberScheduled": desired,
        "numberReady": ready,
        "observedGeneration": metadata(daemon).get("generation") or 0,
    }
    optional = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": desired - available,
    }
    out.update({field: count for field, count in optional.items() if count})
    for field in ("collisionCount", "conditions"):
        if field in status(daemon):
            out[field] = status(daemon)[field]
    return out
