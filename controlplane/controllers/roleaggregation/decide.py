"""All ClusterRoles in, the rules of an aggregated one out. Pure.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
"""

from __future__ import annotations

from collections.abc import Iterable

from panal.selectors import from_label_selector

from ..meta import Object, labels, name


def is_aggregated(role: Object) -> bool:
    return role.get("aggregationRule") is not None


def wanted(role: Object, roles: Iterable[Object]) -> list[Object]:
    """The rules of all roles that its selectors match, each rule once, by the roles' names."""
    others = sorted((other for other in roles if name(other) != name(role)), key=name)
    found: list[Object] = []
    for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
        matcher = from_label_selector(selector)
        for other in others:
            if matcher.matches(labels(other)):
                found += [rule for rule in other.get("rules") or () if rule not in found]
    return found
