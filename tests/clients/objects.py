"""Objects that the tests of several clients make."""

from __future__ import annotations

from typing import Any


def definition(group: str, kind: str, plural: str, spec: dict[str, Any], *short: str) -> dict[str, Any]:
    """A definition of a namespaced kind in version v1 with this schema of its spec, and any status."""
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": {"type": "object", **spec}, "status": status}}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
               "schema": {"openAPIV3Schema": schema}}  # fmt: skip
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "shortNames": list(short)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


WIDGETS = definition(
    "clients.example.com", "Widget", "widgets",
    {"required": ["size"], "properties": {"size": {"type": "integer", "minimum": 1}}}, "wi",
)  # fmt: skip
"""A custom kind that the tests of all clients use."""


def pod(name: str, **labels: str) -> dict[str, Any]:
    """A pod's manifest."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name, **labels}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    }


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    """A Deployment's manifest."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    }
