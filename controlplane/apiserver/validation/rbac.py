"""Checks of roles and of who has them."""

from __future__ import annotations

import orjson

from panal import formats

from ..fielderrors import FieldError, Shown, bad, not_supported, required
from .checks import Object, items, name, optional_name
from .labelselectors import label_selector
from .meta import path_segment_name

RBAC = "rbac.authorization.k8s.io"


def role(obj: Object, *, namespaced: bool) -> list[FieldError]:
    errors = [error for rule, where in items(obj.get("rules"), "rules") for error in _rule(rule, where, namespaced)]
    aggregation, field = obj.get("aggregationRule"), "aggregationRule.clusterRoleSelectors"
    if aggregation is not None and not namespaced:
        if not aggregation.get("clusterRoleSelectors"):
            words = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(required(field, words))
        for selector, where in items(aggregation.get("clusterRoleSelectors"), field):
            errors += label_selector(selector, where)
    return errors


def _rule(rule: Object, where: str, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if not rule.get("verbs"):
        errors.append(required(f"{where}.verbs", "verbs must contain at least one value"))
    if urls := rule.get("nonResourceURLs"):
        if namespaced:
            words = "namespaced rules cannot apply to non-resource URLs"
            errors.append(bad(f"{where}.nonResourceURLs", urls, words))
        if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
            words = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(bad(f"{where}.nonResourceURLs", urls, words))
        return errors
    if not rule.get("apiGroups"):
        errors.append(required(f"{where}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errors.append(required(f"{where}.resources", "resource rules must supply at least one resource"))
    return errors


def role_binding(obj: Object, *, namespaced: bool) -> list[FieldError]:
    reference = obj.get("roleRef") or {}
    errors: list[FieldError] = []
    if reference.get("apiGroup") != RBAC:
        errors.append(not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), (RBAC,)))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        errors.append(not_supported("roleRef.kind", reference.get("kind", ""), kinds))
    errors += name(reference.get("name"), "roleRef.name", path_segment_name)
    for subject, where in items(obj.get("subjects"), "subjects"):
        errors += _subject(subject, where, namespaced)
    return errors


def _subject(subject: Object, where: str, namespaced: bool) -> list[FieldError]:
    called, kind, group = (subject.get(key, "") for key in ("name", "kind", "apiGroup"))
    errors = [] if called else [required(f"{where}.name")]
    if kind == "ServiceAccount":
        errors += optional_name(called, f"{where}.name", formats.subdomain_name)
        if group:
            errors.append(not_supported(f"{where}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{where}.namespace"))
    elif kind in ("User", "Group"):
        if group != RBAC:
            errors.append(not_supported(f"{where}.apiGroup", group, (RBAC,)))
    else:
        errors.append(not_supported(f"{where}.kind", kind, ("ServiceAccount", "User", "Group")))
    return errors


def role_reference_update(new: Object, old: Object) -> list[FieldError]:
    """Who may change a binding may not give away another role with it."""
    now = new.get("roleRef") or {}
    if now == old.get("roleRef"):
        return []
    shown = {"APIGroup": now.get("apiGroup", ""), "Kind": now.get("kind", ""), "Name": now.get("name", "")}
    return [bad("roleRef", Shown(orjson.dumps(shown).decode()), "cannot change roleRef")]
