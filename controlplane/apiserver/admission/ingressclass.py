"""DefaultIngressClass: an Ingress without a class gets the default one."""

from __future__ import annotations

from panal.resources import INGRESSCLASSES, INGRESSES

from .attributes import Attributes, Reader

_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_LEGACY = "kubernetes.io/ingress.class"


def admit(attributes: Attributes, reader: Reader) -> None:
    if not attributes.creates(INGRESSES):
        return
    meta, spec = attributes.obj["metadata"], attributes.obj.setdefault("spec", {})
    if spec.get("ingressClassName") is not None or _LEGACY in meta.get("annotations", {}):
        return
    defaults = [
        item for item in reader.list(INGRESSCLASSES) if item["metadata"].get("annotations", {}).get(_DEFAULT) == "true"
    ]
    if defaults:
        # The newest of several, the first by name of those: as Kubernetes decides.
        defaults.sort(key=lambda item: str(item["metadata"]["name"]))
        newest = max(defaults, key=lambda item: str(item["metadata"].get("creationTimestamp", "")))
        spec["ingressClassName"] = newest["metadata"]["name"]
