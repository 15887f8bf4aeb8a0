"""Checks of FlowSchemas and PriorityLevelConfigurations (flowcontrol.apiserver.k8s.io)."""

from __future__ import annotations

from math import ceil, log2
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required
from .checks import Object, formatted, items, name

_METHODS = ("ByNamespace", "ByUser")
_VERBS = frozenset(("get", "list", "create", "update", "delete", "deletecollection", "patch", "watch", "proxy"))
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_HIGHEST, _QUEUES, _HASH_BITS = 10_000, 10_000_000, 60
_NAMESPACE = "each member of this list must be '*' or a DNS-1123 label; "


def flow_schema(obj: Object) -> list[FieldError]:
    spec, field = obj.get("spec") or {}, "spec.matchingPrecedence"
    precedence, method = spec.get("matchingPrecedence", 0), spec.get("distinguisherMethod")
    errors: list[FieldError] = []
    if precedence <= 0:
        errors.append(bad(field, precedence, "must be a positive value"))
    if precedence > _HIGHEST:
        errors.append(bad(field, precedence, f"must not be greater than {_HIGHEST}"))
    if precedence == 1 and obj["metadata"].get("name") != "exempt":
        errors.append(bad(field, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    if method is not None and method.get("type") not in _METHODS:
        errors.append(not_supported("spec.distinguisherMethod.type", method, _METHODS))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name")
    where = "spec.priorityLevelConfiguration.name"
    errors += name(level, where, formats.subdomain_name, "must reference a priority level")
    for rule, at in items(spec.get("rules"), "spec.rules"):
        errors += _rule(rule, at)
    return errors


def _rule(rule: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not rule.get("subjects"):
        errors.append(required(f"{where}.subjects", "subjects must contain at least one value"))
    for subject, at in items(rule.get("subjects"), f"{where}.subjects"):
        errors += _subject(subject, at)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        words = "at least one of resourceRules and nonResourceRules has to be non-empty"
        errors.append(required(where, words))
    for each, at in items(rule.get("resourceRules"), f"{where}.resourceRules"):
        errors += _resources(each, at)
    for each, at in items(rule.get("nonResourceRules"), f"{where}.nonResourceRules"):
        errors += _verbs(each, at) + _urls(list(each.get("nonResourceURLs") or ()), f"{at}.nonResourceURLs")
    return errors


def _subject(subject: Object, where: str) -> list[FieldError]:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        return [not_supported(f"{where}.kind", kind, tuple(_SUBJECTS))]
    key = _SUBJECTS[kind]
    found, at = subject.get(key), f"{where}.{key}"
    errors: list[FieldError] = []
    if found is None:
        errors.append(required(at, f"{key} is required when subject kind is '{kind}'"))
    else:
        called = found.get("name", "")
        if not called:
            errors.append(required(f"{at}.name"))
        elif kind == "ServiceAccount" and called != "*":
            errors += formatted(called, f"{at}.name", formats.subdomain_name)
        if kind == "ServiceAccount":
            words = "must specify namespace for service account"
            errors += name(found.get("namespace"), f"{at}.namespace", formats.label_name, words)
    for other in ("ServiceAccount", "User", "Group"):
        if other != kind and subject.get(_SUBJECTS[other]) is not None:
            words = f"{_SUBJECTS[other]} is forbidden when subject kind is not '{other}'"
            errors.append(forbidden(f"{where}.{_SUBJECTS[other]}", words))
    return errors


def _verbs(rule: Object, where: str) -> list[FieldError]:
    found, field = list(rule.get("verbs") or ()), f"{where}.verbs"
    if not found:
        return [required(field, "verbs must contain at least one value")]
    if "*" in found:
        return _alone(found, field, "verbs")
    return [] if set(found) <= _VERBS else [not_supported(field, found, sorted(_VERBS))]


def _alone(found: list[str], field: str, what: str) -> list[FieldError]:
    if len(found) > 1 and "*" in found:
        return [bad(field, found, f"if '*' is present, must not specify other {what}")]
    return []


def _resources(rule: Object, where: str) -> list[FieldError]:
    errors = _verbs(rule, where)
    for key, what, one in (("apiGroups", "api groups", "api group"), ("resources", "resources", "resource")):
        found = list(rule.get(key) or ())
        if not found:
            errors.append(required(f"{where}.{key}", f"resource rules must supply at least one {one}"))
        errors += _alone(found, f"{where}.{key}", what)
    namespaces, field = list(rule.get("namespaces") or ()), f"{where}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        words = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(field, words))
    elif "*" in namespaces:
        errors += _alone(namespaces, field, "namespaces")
    else:
        for each, at in items(namespaces, field):
            errors += [bad(at, each, _NAMESPACE + text) for text in formats.label_name(each)]
    return errors


def _urls(found: list[str], field: str) -> list[FieldError]:
    if not found:
        return [required(field, "nonResourceURLs must contain at least one value")]
    if "*" in found:
        return _alone(found, field, "non-resource URLs")
    return [bad(at, url, why) for url, at in items(found, field) if (why := _url(url))]


def _url(url: str) -> str:
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    count = url.count("*")
    return "wildcard can only do suffix matching" if count > 1 or (count and not url.endswith("/*")) else ""


def priority_level(obj: Object) -> list[FieldError]:
    spec, called = obj.get("spec") or {}, obj["metadata"].get("name", "")
    kind, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
    errors: list[FieldError] = []
    if (called == "exempt") != (kind == "Exempt"):
        errors.append(bad("spec.type", kind, "type must be 'Exempt' if and only if name is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            errors.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        errors += _shares(exempt or {}, "spec.exempt", 0)
    elif kind == "Limited":
        if exempt is not None:
            errors.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            errors.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            errors += _limited(limited, "spec.limited")
    else:
        errors.append(not_supported("spec.type", kind, ("Exempt", "Limited")))
    return errors


def _shares(found: Object, where: str, least: int) -> list[FieldError]:
    shares, lent = found.get("nominalConcurrencyShares"), found.get("lendablePercent")
    errors: list[FieldError] = []
    if shares is not None and shares < least:
        errors.append(bad(f"{where}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    if lent is not None and not 0 <= lent <= 100:
        errors.append(bad(f"{where}.lendablePercent", lent, "must be between 0 and 100, inclusive"))
    return errors


def _limited(found: Object, where: str) -> list[FieldError]:
    errors = _shares(found, where, 0)
    borrowed = found.get("borrowingLimitPercent")
    if borrowed is not None and borrowed < 0:
        words = "if specified, must be a non-negative integer"
        errors.append(bad(f"{where}.borrowingLimitPercent", borrowed, words))
    response, at = found.get("limitResponse") or {}, f"{where}.limitResponse"
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            words = "must be nil if limited.limitResponse.type is not Limited"
            errors.append(forbidden(f"{at}.queuing", words))
    elif kind == "Queue":
        if queuing is None:
            words = "must not be empty if limited.limitResponse.type is Limited"
            errors.append(required(f"{at}.queuing", words))
        else:
            errors += _queuing(queuing, f"{at}.queuing")
    else:
        errors.append(not_supported(f"{at}.type", kind, ("Queue", "Reject")))
    return errors


def _queuing(found: Object, where: str) -> list[FieldError]:
    length, queues, hand = (found.get(key, 0) for key in ("queueLengthLimit", "queues", "handSize"))
    errors: list[FieldError] = []
    if length <= 0:
        errors.append(bad(f"{where}.queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        errors.append(bad(f"{where}.queues", queues, "must be positive"))
    elif queues > _QUEUES:
        errors.append(bad(f"{where}.queues", queues, f"must not be greater than {_QUEUES}"))
    if hand <= 0:
        errors.append(bad(f"{where}.handSize", hand, "must be positive"))
    elif hand > queues:
        errors.append(bad(f"{where}.handSize", hand, f"should not be greater than queues ({queues})"))
    elif ceil(sum(log2(queues - dealt) for dealt in range(hand))) > _HASH_BITS:
        words = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than"
        errors.append(bad(f"{where}.handSize", hand, f"{words} {_HASH_BITS}"))
    return errors


def status(new: Object, old: Object) -> list[FieldError]:
    """The conditions of either kind."""
    errors: list[FieldError] = []
    kinds: set[Any] = set()
    for each, where in items((new.get("status") or {}).get("conditions"), "status.conditions"):
        kind = each.get("type", "")
        if kind in kinds:
            errors.append(duplicate(f"{where}.type", kind))
        kinds.add(kind)
        if not kind:
            errors.append(required(f"{where}.type", "must not be empty"))
    return errors
