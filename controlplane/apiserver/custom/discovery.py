"""Custom resources as discovery tells of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .resource import CustomResource

Node = dict[str, Any]

_VERSION = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")
_STABILITY = {None: 2, "beta": 1, "alpha": 0}


def priority(version: str) -> tuple[int, ...]:
    """Greater for what clients prefer: v2, v1, v1beta2, v1beta1, v1alpha1; other names come last."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1,)
    return (_STABILITY[match[2]], int(match[1]), int(match[3] or 0))


def merged(known: Node, custom: Sequence[CustomResource]) -> Node:
    """The recorded discovery with the custom resources; changes nothing."""
    groups = {entry["name"]: entry for entry in known["groups"]}
    found = dict(known["resources"])
    for resource in custom:
        found[resource.api_version] = [*found.get(resource.api_version, ()), *_entries(resource)]
        entry = groups.get(resource.group)
        if entry is None:
            groups[resource.group] = {"name": resource.group, "versions": [], "preferred": "", "custom": True}
        elif not entry.get("custom"):
            groups[resource.group] = {**entry}
        entry = groups[resource.group]
        if resource.version not in entry["versions"]:
            versions = [*entry["versions"], resource.version]
            entry["versions"] = sorted(versions, key=lambda name: (priority(name), name), reverse=True)
            if entry.get("custom"):
                entry["preferred"] = entry["versions"][0]
    return {"groups": list(groups.values()), "resources": found}


def _entries(resource: CustomResource) -> list[Node]:
    """Its APIResource and those of its subresources."""
    verbs = [verb for verb in resource.verbs if verb != "create" or not resource.terminating]
    main: Node = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs,
        **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
    }
    found = [main]
    for name in resource.subresources:
        entry: Node = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": ["get", "patch", "update"],
        }
        if name == "scale":
            entry |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        found.append(entry)
    return found
