"""Which pods fit which nodes by taints, selectors and node affinity: pure predicates, shared with the DaemonSet
controller.

Semantics: https://kubernetes.io/docs/concepts/scheduling-eviction/ (assign-pod-node, taint-and-toleration).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
    return operator in ("Gt", "Lt") and _compares(operator, toleration.get("value"), taint.get("value"))


def _compares(operator: str, wanted: Any, actual: Any) -> bool:
    try:
        limit, value = int(wanted), int(actual)
    except (TypeError, ValueError):
        return False
    return value > limit if operator == "Gt" else value < limit


def untolerated(taints: Iterable[Json], tolerations: Sequence[Json], effects: Sequence[str]) -> Json | None:
    """The first taint of one of the `effects` that no toleration covers."""
    for taint in taints:
        if taint.get("effect") in effects and not any(tolerates(item, taint) for item in tolerations):
            return taint
    return None


def requirement_matches(requirement: Json, values: Mapping[str, str]) -> bool:
    """One matchExpressions entry of a node selector term."""
    key, operator = requirement.get("key", ""), requirement.get("operator")
    wanted: Sequence[str] = requirement.get("values") or []
    actual = values.get(key)
    if operator == "In":
        return actual is not None and actual in wanted
    if operator == "NotIn":
        return actual is None or actual not in wanted
    if operator == "Exists":
        return actual is not None
    if operator == "DoesNotExist":
        return actual is None
    if operator in ("Gt", "Lt") and actual is not None and len(wanted) == 1:
        return _compares(operator, wanted[0], actual)
    return False


def term_matches(term: Json, node: Json) -> bool:
    """One nodeSelectorTerm; an empty one matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    meta = node.get("metadata") or {}
    node_labels = meta.get("labels") or {}
    return all(requirement_matches(item, node_labels) for item in expressions) and all(
        item.get("key") == "metadata.name" and requirement_matches(item, {"metadata.name": meta.get("name", "")})
        for item in fields
    )


def required_terms(pod: Json) -> Sequence[Json] | None:
    """The terms of the required node affinity, of which one must match; None without a required affinity."""
    affinity = ((pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required.get("nodeSelectorTerms") or ()


def affinity_matches(pod: Json, node: Json) -> bool:
    """nodeSelector and the required node affinity together."""
    selector = (pod.get("spec") or {}).get("nodeSelector") or {}
    node_labels = (node.get("metadata") or {}).get("labels") or {}
    if any(node_labels.get(key) != value for key, value in selector.items()):
        return False
    terms = required_terms(pod)
    return terms is None or any(term_matches(term, node) for term in terms)


def pinned_node(pod: Json) -> str | None:
    """The one node that the required affinity names by metadata.name, as for DaemonSet pods."""
    names: set[str] = set()
    terms = required_terms(pod)
    if not terms:
        return None
    for term in terms:
        named = [
            item["values"][0]
            for item in term.get("matchFields") or ()
            if item.get("key") == "metadata.name"
            and item.get("operator") == "In"
            and len(item.get("values") or ()) == 1
        ]
        if not named:
            return None
        names.update(named)
    return names.pop() if len(names) == 1 else None
