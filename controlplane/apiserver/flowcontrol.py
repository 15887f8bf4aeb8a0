"""Which FlowSchema and which priority level a request belongs to; its answer's headers tell, as upstream's do. Pure.

Rules are those of flowcontrol.apiserver.k8s.io/v1: the schema with the lowest matchingPrecedence (then name) whose
rules match wins; one that names a level that is not there is left out. Levels share out nothing here: what they decide
is who is exempt from the limits of requests in flight (inflight.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .authn import User
from .cache import Shelf
from .request import Target

SCHEMA_UID, LEVEL_UID = "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid"
_ACCOUNT = "system:serviceaccount:"
_KEPT = 2_000
"""Classified kinds of requests that are remembered: users times verbs times resources of a busy cluster."""

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Flow:
    """Where a request belongs."""

    exempt: bool
    headers: Mapping[str, str]


NOWHERE = Flow(False, {})
"""For requests that no schema matches: they are treated as any other."""


def matches(rule: Rule, user: User, target: Target) -> bool:
    """Whether one of the rule's subjects asks for one of its resources or paths."""
    if not any(_is(subject, user) for subject in rule.get("subjects") or ()):
        return False
    if target.resource:
        return any(_asks_for(each, target) for each in rule.get("resourceRules") or ())
    return any(_walks(each, target) for each in rule.get("nonResourceRules") or ())


def _is(subject: Rule, user: User) -> bool:
    kind = subject.get("kind")
    if kind == "User":
        return _any(subject["user"]["name"], user.name)
    if kind == "Group":
        name = subject["group"]["name"]
        return name == "*" or name in user.groups
    if kind == "ServiceAccount":
        account = subject["serviceAccount"]
        wanted = f"{_ACCOUNT}{account['namespace']}:"
        return user.name.startswith(wanted) and _any(account["name"], user.name.removeprefix(wanted))
    return False


def _asks_for(rule: Rule, target: Target) -> bool:
    resource = f"{target.resource}/{target.subresource}" if target.subresource else target.resource
    return (
        _in(rule.get("verbs"), target.verb)
        and _in(rule.get("resources"), resource)
        and _in(rule.get("apiGroups"), target.group)
        and (_in(rule.get("namespaces"), target.namespace) if target.namespace else bool(rule.get("clusterScope")))
    )


def _walks(rule: Rule, target: Target) -> bool:
    urls = rule.get("nonResourceURLs") or ()
    return _in(rule.get("verbs"), target.verb) and any(
        url == target.path or (url.endswith("*") and target.path.startswith(url.rstrip("*"))) for url in urls
    )


def _any(wanted: str, found: str) -> bool:
    return wanted in ("*", found)


def _in(wanted: Iterable[str] | None, found: str) -> bool:
    return any(_any(each, found) for each in wanted or ())


class FlowControl:
    """Classifies requests by the schemas and levels that are stored now."""

    def __init__(self, schemas: Shelf, levels: Shelf) -> None:
        self._schemas, self._levels = schemas, levels
        self._seen = (-1, -1)
        self._flows: list[tuple[Flow, list[Rule]]] = []
        self._known: dict[tuple[str, ...], Flow] = {}

    def flow(self, user: User, target: Target) -> Flow:
        """Where the request belongs."""
        if (now := (self._schemas.revision, self._levels.revision)) != self._seen:
            self._seen, self._flows, self._known = now, self._read(), {}
        thing = (
            (target.group, target.resource, target.subresource, target.namespace) if target.resource else (target.path,)
        )
        key = (user.name, *user.groups, "", target.verb, *thing)
        if (found := self._known.get(key)) is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = next(
                (flow for flow, rules in self._flows if any(matches(rule, user, target) for rule in rules)), NOWHERE
            )
        return found

    def _read(self) -> list[tuple[Flow, list[Rule]]]:
        levels = {item.name: item.decode() for item in self._levels.list()}
        found = []
        for schema in sorted((item.decode() for item in self._schemas.list()), key=_precedence):
            level = levels.get(schema["spec"]["priorityLevelConfiguration"]["name"])
            if level is not None:
                uids = {SCHEMA_UID: schema["metadata"]["uid"], LEVEL_UID: level["metadata"]["uid"]}
                found.append((Flow(level["spec"]["type"] == "Exempt", uids), schema["spec"].get("rules") or []))
        return found


def _precedence(schema: Rule) -> tuple[int, str]:
    return schema["spec"].get("matchingPrecedence", 1000), schema["metadata"]["name"]
