"""The custom kinds that come with every cluster, as definitions: `data/kinds.yaml` says what is special about each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "kinds.yaml"
METALLB_NAMESPACE = "metallb-system"
"""Where MetalLB's users write their pools."""

Object = dict[str, Any]


def definitions() -> list[Object]:
    """CustomResourceDefinitions, and the namespace that manifests for MetalLB suppose."""
    import yaml

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": METALLB_NAMESPACE}}
    return [namespace, *map(_definition, yaml.load(DATA.read_bytes(), Loader=_loader(yaml)))]


def _loader(yaml: Any) -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _definition(kind: Object) -> Object:
    singular = kind["kind"].lower()
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": kind["spec"], "status": kind["status"]},
    }
    version = {
        "name": kind["version"],
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": kind["columns"]
        or [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind['plural']}.{kind['group']}",
            "labels": {"panal.dev/bundled": "true"},
            "annotations": {"api-approved.kubernetes.io": kind["approved"]} if "approved" in kind else {},
        },
        "spec": {
            "group": kind["group"],
            "scope": "Namespaced",
            "names": {
                "kind": kind["kind"], "listKind": f"{kind['kind']}List", "plural": kind["plural"], "singular": singular,
            },
            "versions": [version],
        },
    }  # fmt: skip
