"""Nobody gives rights away that he does not have, unless a role lets him `escalate` or `bind`.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from panal.errors import Forbidden, not_found
from panal.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES

from ..authn import User
from ..authz import MASTERS, Authorizer, covers
from ..authz import Attributes as Question
from ..fielderrors import go_quote
from .attributes import Attributes, Object, Plugin, Reader

Rule = Mapping[str, Any]

_EVERYTHING: tuple[Rule, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)
"""What a role that gathers others may come to hold."""


def guard(authorizer: Authorizer) -> Plugin:
    """The plugin that asks this authorizer. Raises Forbidden, and NotFound for a binding of no role."""

    def validate(attributes: Attributes, reader: Reader) -> None:
        if attributes.operation not in ("CREATE", "UPDATE") or MASTERS in attributes.groups:
            return
        if attributes.resource in (ROLES, CLUSTERROLES):
            wanted, verb, role = _of_role(attributes), "escalate", attributes.obj["metadata"].get("name", "")
            kind = attributes.resource.plural
        elif attributes.resource in (ROLEBINDINGS, CLUSTERROLEBINDINGS):
            reference = attributes.obj.get("roleRef") or {}
            verb, role = "bind", str(reference.get("name", ""))
            kind = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
            wanted = None
        else:
            return
        user = User(attributes.user, attributes.groups)
        asked = Question(verb, attributes.resource.group, kind, "", attributes.namespace, role)
        if authorizer.allowed(user, asked):
            return
        if wanted is None:
            wanted = _of_binding(attributes, kind, role, reader)
        held = [each.rule for each in authorizer.grants(user) if each.namespace in ("", attributes.namespace)]
        if lacking := list(_lacking(held, wanted)):
            raise _refusal(attributes, lacking)

    return validate


def _of_role(attributes: Attributes) -> list[Rule]:
    """The rules that the write gives to whoever has the role."""
    obj, old = attributes.obj, attributes.old
    if old is not None and all(obj.get(key) == old.get(key) for key in ("rules", "aggregationRule")):
        return []
    gathered = _EVERYTHING if obj.get("aggregationRule") else ()
    return [*(obj.get("rules") or ()), *gathered]


def _of_binding(attributes: Attributes, kind: str, role: str, reader: Reader) -> list[Rule]:
    obj, old = attributes.obj, attributes.old
    if old is not None and all(obj.get(key) == old.get(key) for key in ("subjects", "roleRef")):
        return []
    found: Object | None
    if kind == "clusterroles":
        found = reader.get(CLUSTERROLES, "", role)
    else:
        found = reader.get(ROLES, attributes.namespace, role)
    if found is None:
        raise not_found(kind, attributes.resource.group, role)
    return list(found.get("rules") or ())


def _lacking(held: list[Rule], wanted: Iterable[Rule]) -> Iterator[Rule]:
    """The smallest rules that nothing held covers, those of one resource together."""
    grouped: dict[tuple[Any, ...], list[str]] = {}
    for rule in wanted:
        for asked in _questions(rule):
            if not any(covers(each, asked) and _names_held(each, asked) for each in held):
                full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
                verbs = grouped.setdefault((asked.group, full, asked.path, asked.name), [])
                verbs += [asked.verb] if asked.verb not in verbs else []
    for (group, resource, path, name), verbs in grouped.items():
        what: dict[str, Any] = {"NonResourceURLs": [path]} if path else {"APIGroups": [group], "Resources": [resource]}
        yield {**what, **({"ResourceNames": [name]} if name else {}), "Verbs": verbs}


def _questions(rule: Rule) -> Iterator[Question]:
    """A rule as single questions."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield Question(verb, path=path)
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                plural, _, subresource = resource.partition("/")
                for name in rule.get("resourceNames") or ("",):
                    yield Question(verb, group, plural, subresource, name=name)


def _names_held(rule: Rule, asked: Question) -> bool:
    """A rule for some names does not hold the right to all."""
    return not rule.get("resourceNames") or asked.name in rule["resourceNames"]


def _refusal(attributes: Attributes, lacking: list[Rule]) -> Forbidden:
    resource, name = attributes.resource, attributes.obj["metadata"].get("name", "")
    shown = "\n".join(sorted(_compact(rule) for rule in lacking))
    why = (
        f"user {go_quote(attributes.user)} (groups={_quoted(attributes.groups)}) is attempting to grant RBAC "
        f"permissions not currently held:\n{shown}"
    )
    return Forbidden(
        f'{resource.group_resource} "{name}" is forbidden: {why}',
        details={"name": name, "group": resource.group, "kind": resource.plural},
    )


def _compact(rule: Rule) -> str:
    return "{" + ", ".join(f"{key}:{_quoted(values)}" for key, values in rule.items()) + "}"


def _quoted(values: Iterable[str]) -> str:
    """A list of strings as Go's %q prints it."""
    return "[" + " ".join(go_quote(value) for value in values) + "]"
