"""What one object uses of a ResourceQuota, and whether a quota is about it at all. Pure.

https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from panal.quantity import parse
from panal.resources import PERSISTENTVOLUMECLAIMS, PODS, SERVICES, Resource

from . import amounts
from .amounts import Amounts
from .attributes import Object

_COUNTED = frozenset(
    ("configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services")
)
"""Core resources whose number quotas limit by their plain name; `count/` works for every resource."""
_ONE = Decimal(1)
_ABBREVIATED = ("cpu", "memory", "ephemeral-storage")
"""Requests that quotas may name without `requests.`"""
_DECLARED = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
"""What every container has to say when a quota limits it."""


def of(resource: Resource, obj: Object) -> Amounts:
    """What the object uses, by the names that stand in `hard`."""
    suffix = f".{resource.group}" if resource.group else ""
    used: Amounts = {f"count/{resource.plural}{suffix}": _ONE}
    if resource == PODS:
        return used if _ended(obj) else {**used, "pods": _ONE, **_pod(obj["spec"])}
    if not resource.group and resource.plural in _COUNTED:
        used[resource.plural] = _ONE
    if resource == SERVICES:
        used.update(_service(obj.get("spec") or {}))
    elif resource == PERSISTENTVOLUMECLAIMS:
        used.update(_claim(obj))
    return {name: amount for name, amount in used.items() if amount}


def _ended(pod: Object) -> bool:
    """A pod that has ended holds nothing any longer."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _pod(spec: Mapping[str, Any]) -> Amounts:
    return _named(amounts.of_pod(spec, "requests"), amounts.of_pod(spec, "limits"))


def _named(requests: Amounts, limits: Amounts) -> Amounts:
    """Requests and limits by the names that quotas have for them."""
    used: Amounts = {}
    for name, amount in requests.items():
        used[f"requests.{name}"] = amount
        if name in _ABBREVIATED or name.startswith("hugepages-"):
            used[name] = amount
    for name, amount in limits.items():
        if name in _ABBREVIATED:
            used[f"limits.{name}"] = amount
    return used


def _service(spec: Mapping[str, Any]) -> Amounts:
    ports = spec.get("ports") or ()
    match spec.get("type"):
        case "NodePort":
            return {"services.nodeports": Decimal(len(ports))}
        case "LoadBalancer":
            every = spec.get("allocateLoadBalancerNodePorts", True)
            count = sum(1 for port in ports if every or port.get("nodePort"))
            return {"services.loadbalancers": _ONE, "services.nodeports": Decimal(count)}
    return {}


def _claim(claim: Object) -> Amounts:
    spec = claim.get("spec") or {}
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    used: Amounts = {"requests.storage": parse(asked)} if asked is not None else {}
    if storage_class := spec.get("storageClassName"):
        prefix = f"{storage_class}.storageclass.storage.k8s.io/"
        used = {**used, **{prefix + name: amount for name, amount in used.items()}}
        used[f"{prefix}persistentvolumeclaims"] = _ONE
    return used


def undeclared(pod: Object, hard: Mapping[str, Any]) -> str:
    """What the pod's containers would have to say for a quota of these resources; "" when nothing is missing."""
    missing: dict[str, set[str]] = {}
    for key in ("containers", "initContainers"):
        for container in pod["spec"].get(key) or ():
            said = _named(amounts.of_container(container, "requests"), amounts.of_container(container, "limits"))
            for name in _DECLARED & hard.keys() - said.keys():
                missing.setdefault(name, set()).add(container.get("name", ""))
    return "; ".join(f"{name} for: {','.join(sorted(who))}" for name, who in sorted(missing.items()))


def concerns(quota: Object, resource: Resource, obj: Object) -> bool:
    """Whether the quota's scopes hold the object. Only pods have scopes."""
    spec = quota.get("spec") or {}
    expressions = list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())
    expressions += [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    if not expressions:
        return True
    return resource == PODS and all(_in_scope(each, obj["spec"]) for each in expressions)


def _in_scope(expression: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    scope = expression.get("scopeName")
    if scope == "PriorityClass":
        name, values = spec.get("priorityClassName") or "", expression.get("values") or ()
        tests = {"In": name in values, "NotIn": name not in values, "Exists": name != "", "DoesNotExist": name == ""}
        return tests.get(str(expression.get("operator")), False)
    best_effort = not (amounts.of_pod(spec, "requests") or amounts.of_pod(spec, "limits"))
    terminating = (spec.get("activeDeadlineSeconds") or -1) >= 0
    return {
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "Terminating": terminating,
        "NotTerminating": not terminating,
        "CrossNamespacePodAffinity": _reaches_out(spec.get("affinity") or {}),
    }.get(str(scope), False)


def _reaches_out(affinity: Mapping[str, Any]) -> bool:
    """Whether a pod's affinity looks at pods of other namespaces."""
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            each.get("podAffinityTerm") or {}
            for each in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
