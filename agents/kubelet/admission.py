"""Whether a node takes a pod that was given to it: the kubelet's own look at what the scheduler decides. Pure.

It matters for pods that name their node themselves, and for static ones. Reasons and messages are upstream's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from panal import quantity

from . import podspec
from .podspec import Pod

Json = Mapping[str, Any]
Port = tuple[str, str, int]
"""Host address, protocol, number."""

ANY = "0.0.0.0"


@dataclass(frozen=True)
class Refusal:
    """Why the pod is not taken; both words stand in its status."""

    reason: str
    message: str


def refusal(pod: Pod, others: Sequence[Pod], node: Json) -> Refusal | None:
    """The first reason against `pod` beside the node's `others`; None when it may run."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    return (
        _out_of("pods", 1, len(others), int(allocatable.get("pods") or 0) or None)
        or _out_of_resource("cpu", quantity.milli, pod, others, allocatable)
        or _out_of_resource("memory", quantity.whole, pod, others, allocatable)
        or _out_of_another(pod, others, allocatable)
        or _misplaced(pod, node)
        or _ports_taken(pod, others)
        or _repelled(pod, node)
    )


def _out_of(name: str, requested: int, used: int, capacity: int | None) -> Refusal | None:
    if capacity is None or requested == 0 or requested + used <= capacity:
        return None
    figures = f"requested: {requested}, used: {used}, capacity: {capacity}"
    return Refusal(f"OutOf{name}", f"Node didn't have enough resource: {name}, {figures}")


def _out_of_resource(name: str, amount: Any, pod: Pod, others: Sequence[Pod], allocatable: Json) -> Refusal | None:
    if name not in allocatable or not (wanted := requested(pod, name, amount)):
        return None
    used = sum(requested(other, name, amount) for other in others)
    return _out_of(name, wanted, used, amount(allocatable[name]))


def _out_of_another(pod: Pod, others: Sequence[Pod], allocatable: Json) -> Refusal | None:
    """Ephemeral storage, huge pages, extended resources."""
    names = allocatable.keys() - {"cpu", "memory", "pods"}
    found = (_out_of_resource(name, quantity.whole, pod, others, allocatable) for name in sorted(names))
    return next((refused for refused in found if refused is not None), None)


def requested(pod: Pod, name: str, amount: Any) -> int:
    """What the pod asks for at most at any time: its containers and sidecars together, or one init container."""

    def of(spec: Json) -> int:
        value = ((spec.get("resources") or {}).get("requests") or {}).get(name)
        return 0 if value is None else int(amount(value))

    beside = most = 0
    for spec in podspec.init_containers(pod):
        if podspec.is_sidecar(spec):
            beside += of(spec)
            most = max(most, beside)
        else:
            most = max(most, beside + of(spec))
    together = beside + sum(of(spec) for spec in podspec.containers(pod))
    overhead = (pod["spec"].get("overhead") or {}).get(name)
    return max(most, together) + (0 if overhead is None else int(amount(overhead)))


def _misplaced(pod: Pod, node: Json) -> Refusal | None:
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    selector: Mapping[str, str] = pod["spec"].get("nodeSelector") or {}
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    fits = all(labels.get(key) == value for key, value in selector.items())
    if fits and required is not None:
        fits = any(
            _term_fits(term, labels, node["metadata"]["name"]) for term in required.get("nodeSelectorTerms") or ()
        )
    if fits:
        return None
    return _predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")


def _term_fits(term: Json, labels: Mapping[str, str], name: str) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_fits(item, labels.get(item.get("key", ""))) for item in expressions) and all(
        _fits(item, name if item.get("key") == "metadata.name" else None) for item in fields
    )


def _fits(requirement: Json, actual: str | None) -> bool:
    wanted: Sequence[str] = requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return actual is not None and actual in wanted
        case "NotIn":
            return actual is None or actual not in wanted
        case "Exists":
            return actual is not None
        case "DoesNotExist":
            return actual is None
        case "Gt" | "Lt" as operator if actual is not None and len(wanted) == 1:
            try:
                return int(actual) > int(wanted[0]) if operator == "Gt" else int(actual) < int(wanted[0])
            except ValueError:
                return False
    return False


def host_ports(pod: Pod) -> Iterable[Port]:
    """The ports of the node that the pod wants."""
    for spec in (*podspec.init_containers(pod), *podspec.containers(pod)):
        for port in spec.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or ANY, port.get("protocol") or "TCP", int(port["hostPort"])


def _ports_taken(pod: Pod, others: Iterable[Pod]) -> Refusal | None:
    wanted = list(host_ports(pod))
    taken = [port for other in others for port in host_ports(other)] if wanted else []
    for address, protocol, number in wanted:
        for other_address, other_protocol, other_number in taken:
            same_place = address == other_address or ANY in (address, other_address)
            if same_place and (protocol, number) == (other_protocol, other_number):
                return _predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    return None


def _repelled(pod: Pod, node: Json) -> Refusal | None:
    if podspec.is_static(pod):
        return None
    tolerations: Sequence[Json] = pod["spec"].get("tolerations") or ()
    for taint in node["spec"].get("taints") or () if node.get("spec") else ():
        if taint.get("effect") == "NoExecute" and not any(_tolerates(item, taint) for item in tolerations):
            return _predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _predicate(name: str, why: str) -> Refusal:
    return Refusal(name, f"Predicate {name} failed: {why}")
