"""What a namespace's objects use of a ResourceQuota. Pure.

https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from panal.quantity import parse

from ..meta import Object, spec
from ..pods import is_terminal

COUNTED: Mapping[str, tuple[str, str]] = {
    "configmaps": ("", "configmaps"),
    "persistentvolumeclaims": ("", "persistentvolumeclaims"),
    "replicationcontrollers": ("", "replicationcontrollers"),
    "resourcequotas": ("", "resourcequotas"),
    "secrets": ("", "secrets"),
    "services": ("", "services"),
    "services.loadbalancers": ("", "services"),
    "services.nodeports": ("", "services"),
}
"""Names in a quota -> (group, resource) whose objects they count."""
SHORT = {"cpu": "requests.cpu", "memory": "requests.memory", "ephemeral-storage": "requests.ephemeral-storage"}


def counted(item: str) -> tuple[str, str] | None:
    """The (group, resource) that an entry of `hard` counts; None for what pods use."""
    if item in COUNTED:
        return COUNTED[item]
    if item.startswith("count/"):
        plural, _, group = item.removeprefix("count/").partition(".")
        return (group, plural)
    return None


def in_scope(quota: Object, pod: Object) -> bool:
    """Whether the quota is about the pod, by its scopes."""
    body = spec(pod)
    resources = [item.get("resources") or {} for item in body.get("containers") or ()]
    best_effort = not any(item.get("requests") or item.get("limits") for item in resources)
    terminating = body.get("activeDeadlineSeconds") is not None
    tests = {
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "Terminating": terminating,
        "NotTerminating": not terminating,
    }
    if not all(tests.get(scope, True) for scope in spec(quota).get("scopes") or ()):
        return False
    expressions = (spec(quota).get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_matches(item, body, tests) for item in expressions)


def _matches(item: Mapping[str, object], body: Mapping[str, object], tests: Mapping[str, bool]) -> bool:
    scope, operator = str(item.get("scopeName")), item.get("operator")
    if scope != "PriorityClass":
        return tests.get(scope, True)
    actual = body.get("priorityClassName") or ""
    values = item.get("values") or ()
    assert isinstance(values, Sequence)
    return {
        "In": actual in values,
        "NotIn": actual not in values,
        "Exists": bool(actual),
        "DoesNotExist": not actual,
    }.get(str(operator), False)


def used(quota: Object, pods: Iterable[Object], objects: Mapping[str, Sequence[Object]]) -> dict[str, str]:
    """Usage for every entry of `hard`. `objects` are those of each counted entry."""
    mine = [pod for pod in pods if not is_terminal(pod) and in_scope(quota, pod)]
    out = {}
    for item in spec(quota).get("hard") or {}:
        if item in ("pods", "count/pods"):
            out[item] = str(len(mine))
        elif counted(item) is not None:
            out[item] = str(_count(item, objects.get(item, ())))
        else:
            out[item] = _written(item, _sum(SHORT.get(item, item), mine))
    return out


def _count(item: str, objects: Sequence[Object]) -> int:
    if item == "services.loadbalancers":
        return sum(spec(each).get("type") == "LoadBalancer" for each in objects)
    if item == "services.nodeports":
        wanted = [each for each in objects if spec(each).get("type") in ("NodePort", "LoadBalancer")]
        return sum(bool(port.get("nodePort")) for each in wanted for port in spec(each).get("ports") or ())
    return len(objects)


def _sum(item: str, pods: Iterable[Object]) -> Decimal:
    """requests.cpu, limits.memory, requests.example.com/gpu and the like, over all pods."""
    which, _, resource = item.partition(".")
    total = Decimal(0)
    for pod in pods:
        regular = sum((_amount(each, which, resource) for each in spec(pod).get("containers") or ()), Decimal(0))
        first = max(
            (_amount(each, which, resource) for each in spec(pod).get("initContainers") or ()), default=Decimal(0)
        )
        total += max(regular, first)
    return total


def _amount(container: Object, which: str, resource: str) -> Decimal:
    value = ((container.get("resources") or {}).get(which) or {}).get(resource)
    return parse(value) if value is not None else Decimal(0)


def _written(item: str, value: Decimal) -> str:
    if item.endswith("cpu"):
        thousandths = int(value * 1000)
        return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"
    whole = int(value)
    for suffix, unit in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if whole and whole % unit == 0:
            return f"{whole // unit}{suffix}"
    return str(whole)
