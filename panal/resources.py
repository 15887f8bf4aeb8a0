"""Every built-in resource of the API, from what a real Kubernetes 1.36 answers to discovery.

`resource("deployments")` finds one; the constants below are those that Panal's own components use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True)
class Resource:
    """One resource of one group and version. `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    """Names of the subresources, for example ("status", "scale")."""

    def __hash__(self) -> int:
        """Of the plural alone: a resource is looked up several times a request, and its fields are many."""
        return hash(self.plural)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """As messages and RBAC name it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """/api/v1 or /apis/GROUP/VERSION."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path. Without a namespace a namespaced resource's path spans all namespaces."""
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


@cache
def discovery() -> dict[str, Any]:
    """The recorded discovery: {"groups": [...], "resources": {groupVersion: [APIResource, ...]}}."""
    recorded: dict[str, Any] = orjson.loads((Path(__file__).parent / "data" / "discovery.json").read_bytes())
    return recorded


@cache
def all_resources() -> Sequence[Resource]:
    """Every built-in resource (not the subresources), preferred versions of a group first."""
    found: list[Resource] = []
    for group_version, entries in discovery()["resources"].items():
        group, _, version = group_version.rpartition("/")
        children: dict[str, list[str]] = {}
        for entry in entries:
            parent, slash, child = entry["name"].partition("/")
            if slash:
                children.setdefault(parent, []).append(child)
        found += [
            Resource(
                group=group,
                version=version,
                plural=entry["name"],
                kind=entry["kind"],
                namespaced=entry["namespaced"],
                singular=entry.get("singularName", ""),
                short_names=tuple(entry.get("shortNames", ())),
                categories=tuple(entry.get("categories", ())),
                verbs=tuple(entry["verbs"]),
                subresources=tuple(children.get(entry["name"], ())),
            )
            for entry in entries
            if "/" not in entry["name"]
        ]
    return tuple(found)


@cache
def _index() -> dict[tuple[str, str, str], Resource]:
    return {(item.group, item.version, item.plural): item for item in all_resources()}


@cache
def _kinds() -> dict[tuple[str, str], Resource]:
    """By (apiVersion, kind); a kind that only a subresource or a review has is found under its own resource."""
    return {(item.api_version, item.kind): item for item in reversed(all_resources())}


def find(group: str, version: str, plural: str) -> Resource | None:
    return _index().get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource whose objects say this apiVersion and kind."""
    return _kinds().get((api_version, kind))


def resource(plural: str, group: str | None = None) -> Resource:
    """The built-in resource of that plural name, in its group's preferred version. Raises KeyError."""
    preferred = {entry["name"]: entry["preferred"] for entry in discovery()["groups"]} | {"": "v1"}
    for item in all_resources():
        if (
            item.plural == plural
            and (group is None or item.group == group)
            and preferred.get(item.group) == item.version
        ):
            if group is None and item.group == "events.k8s.io":
                continue
            return item
    raise KeyError(plural)


def _known(group: str, version: str, plural: str) -> Resource:
    found = find(group, version, plural)
    assert found is not None, plural
    return found


PODS = _known("", "v1", "pods")
NODES = _known("", "v1", "nodes")
NAMESPACES = _known("", "v1", "namespaces")
SERVICES = _known("", "v1", "services")
ENDPOINTS = _known("", "v1", "endpoints")
CONFIGMAPS = _known("", "v1", "configmaps")
SECRETS = _known("", "v1", "secrets")
SERVICEACCOUNTS = _known("", "v1", "serviceaccounts")
EVENTS = _known("", "v1", "events")
PERSISTENTVOLUMES = _known("", "v1", "persistentvolumes")
PERSISTENTVOLUMECLAIMS = _known("", "v1", "persistentvolumeclaims")
RESOURCEQUOTAS = _known("", "v1", "resourcequotas")
LIMITRANGES = _known("", "v1", "limitranges")
REPLICATIONCONTROLLERS = _known("", "v1", "replicationcontrollers")
DEPLOYMENTS = _known("apps", "v1", "deployments")
REPLICASETS = _known("apps", "v1", "replicasets")
DAEMONSETS = _known("apps", "v1", "daemonsets")
STATEFULSETS = _known("apps", "v1", "statefulsets")
CONTROLLERREVISIONS = _known("apps", "v1", "controllerrevisions")
JOBS = _known("batch", "v1", "jobs")
CRONJOBS = _known("batch", "v1", "cronjobs")
LEASES = _known("coordination.k8s.io", "v1", "leases")
ENDPOINTSLICES = _known("discovery.k8s.io", "v1", "endpointslices")
INGRESSES = _known("networking.k8s.io", "v1", "ingresses")
INGRESSCLASSES = _known("networking.k8s.io", "v1", "ingressclasses")
PRIORITYCLASSES = _known("scheduling.k8s.io", "v1", "priorityclasses")
CLUSTERROLES = _known("rbac.authorization.k8s.io", "v1", "clusterroles")
CLUSTERROLEBINDINGS = _known("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
ROLES = _known("rbac.authorization.k8s.io", "v1", "roles")
ROLEBINDINGS = _known("rbac.authorization.k8s.io", "v1", "rolebindings")
