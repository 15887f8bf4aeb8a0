"""Who may do what: role-based access control, evaluated from the watch cache.

A user's rules are gathered once and kept until any role or binding changes. Two bindings are built in: nodes get the
rules of `system:node`, as far as nodegraph.py lets them, and the controller manager those of all
`system:controller:*` roles, because its controllers share one identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from panal.errors import Forbidden, resource_name
from panal.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES

from . import keys
from .authn import User
from .cache import Cache
from .nodegraph import NodeGraph, node_of
from .request import Query, Target

MASTERS = "system:masters"
_RULES_LIMIT = 2048
"""Users whose rules are kept at a time."""

_COLLECTIONS = frozenset(("list", "watch", "deletecollection"))
_NAME = "metadata.name="

Rule = Mapping[str, Any]


def _selected(text: str) -> str:
    """The name that a field selector asks for, "" where it asks for none."""
    for part in text.split(","):
        if part.startswith(_NAME):
            return part.removeprefix(_NAME).removeprefix("=")
    return ""


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question: may this verb be done on that?"""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    """Set for what is no resource."""

    @classmethod
    def of(cls, target: Target, query: Query | None = None) -> Attributes:
        """What a request asks for. A collection of which it asks one object by name has that name."""
        if not target.resource:
            return cls(target.verb, path=target.path)
        name = target.name
        if not name and query is not None and target.verb in _COLLECTIONS:
            name = _selected(query.get("fieldSelector"))
        return cls(target.verb, target.group, target.resource, target.subresource, target.namespace, name)


@dataclass(frozen=True, slots=True)
class Grant:
    """A rule that applies in `namespace`, everywhere when it is ""."""

    namespace: str
    rule: Rule


class Authorizer:
    def __init__(self, cache: Cache) -> None:
        self._shelves = [
            cache.shelf(keys.location(each)) for each in (CLUSTERROLEBINDINGS, ROLEBINDINGS, CLUSTERROLES, ROLES)
        ]
        self._graph = NodeGraph(cache)
        self._state: tuple[int, ...] = ()
        self._roles: dict[str, tuple[Rule, ...]] = {}
        self._bindings: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
        self._grants: dict[tuple[str, tuple[str, ...]], tuple[Grant, ...]] = {}

    def allowed(self, user: User, asked: Attributes) -> bool:
        return self._refused(user, asked) is None

    def require(self, user: User, asked: Attributes) -> None:
        """Raises Forbidden in Kubernetes' words."""
        why = self._refused(user, asked)
        if why is not None:
            raise refusal(user, asked, why)

    def _refused(self, user: User, asked: Attributes) -> str | None:
        """None for what is allowed, else why not, "" where no reason is told."""
        if MASTERS in user.groups:
            return None
        why = ""
        if (node := node_of(user.name, user.groups)) and not asked.path:
            opinion = self._graph.opinion(node, asked)
            why = opinion or ""
            if opinion == "" or (opinion is None and any(covers(rule, asked) for rule in self._role("system:node"))):
                return None
        granted = any(
            (not grant.namespace or grant.namespace == asked.namespace) and covers(grant.rule, asked)
            for grant in self.grants(user)
        )
        return None if granted else why

    def _role(self, name: str) -> Iterable[Rule]:
        """The rules of a ClusterRole."""
        self._refresh()
        if name not in self._roles:
            item = self._shelves[2].get("", name)
            self._roles[name] = tuple(item.decode().get("rules") or ()) if item is not None else ()
        return self._roles[name]

    def grants(self, user: User) -> tuple[Grant, ...]:
        """Every rule that the user has."""
        self._refresh()
        who = (user.name, user.groups)
        found = self._grants.get(who)
        if found is None:
            if len(self._grants) >= _RULES_LIMIT:
                self._grants.clear()
            found = self._grants[who] = tuple(self._gather(user))
        return found

    def _refresh(self) -> None:
        state = tuple(shelf.revision for shelf in self._shelves)
        if state == self._state:
            return
        self._state = state
        self._grants.clear()
        self._roles.clear()
        self._bindings.clear()
        for shelf in self._shelves[:2]:
            for item in shelf.list():
                binding = item.decode()
                reference = binding.get("roleRef") or {}
                for subject in binding.get("subjects") or ():
                    self._bindings.setdefault(_subject(subject, item.namespace), []).append(
                        (item.namespace, str(reference.get("kind", "")), str(reference.get("name", "")))
                    )

    def _gather(self, user: User) -> Iterator[Grant]:
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        roles = [role for subject in subjects for role in self._bindings.get(subject, ())]
        if user.name == "system:kube-controller-manager":
            cluster_roles = self._shelves[2].list()
            roles += [("", "ClusterRole", r.name) for r in cluster_roles if r.name.startswith("system:controller:")]
        for namespace, kind, name in roles:
            shelf = self._shelves[2] if kind == "ClusterRole" else self._shelves[3]
            item = shelf.get("" if kind == "ClusterRole" else namespace, name)
            if item is not None:
                for rule in item.decode().get("rules") or ():
                    yield Grant(namespace, rule)


def _subject(subject: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    kind, name = str(subject.get("kind", "")), str(subject.get("name", ""))
    if kind == "ServiceAccount":
        return "User", f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return kind, name


def covers(rule: Rule, asked: Attributes) -> bool:
    """Whether a PolicyRule allows it (rbac.authorization.k8s.io/v1)."""
    if not _has(rule.get("verbs"), asked.verb):
        return False
    if asked.path:
        return any(_path_matches(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), asked.group):
        return False
    if not _resource_matches(rule.get("resources") or (), asked):
        return False
    names = rule.get("resourceNames")
    return not names or asked.name in names


def _has(values: Iterable[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == path


def _resource_matches(resources: Iterable[str], asked: Attributes) -> bool:
    full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    return any(
        each in ("*", full) or (asked.subresource != "" and each == f"*/{asked.subresource}") for each in resources
    )


def refusal(user: User, asked: Attributes, why: str = "") -> Forbidden:
    """The error that says so, word by word as Kubernetes does."""
    if asked.path:
        return Forbidden(f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"', details={})
    full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    subject = resource_name(asked.resource, asked.group) + (f' "{asked.name}"' if asked.name else "")
    details = {
        key: value for key, value in (("name", asked.name), ("group", asked.group), ("kind", asked.resource)) if value
    }
    return Forbidden(
        f'{subject} is forbidden: User "{user.name}" cannot {asked.verb} resource "{full}" '
        f'in API group "{asked.group}" {scope}{f": {why}" if why else ""}',
        details=details,
    )
