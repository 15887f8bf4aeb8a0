"""The ConfigMap by which pods know the API server: kube-root-ca.crt. Pure."""

from __future__ import annotations

from ..meta import Object, annotations_of, name
from ..namespace.decide import is_ending

NAME = "kube-root-ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def wanted(namespace: Object, current: Object | None, ca: str) -> Object | None:
    """The ConfigMap to write, or None when all is well or the namespace is ending."""
    if is_ending(namespace):
        return None
    data = {"ca.crt": ca}
    if current is None:
        meta = {"name": NAME, "namespace": name(namespace), "annotations": {DESCRIPTION: TEXT}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
    if current.get("data") == data and not current.get("binaryData") and annotations_of(current).get(DESCRIPTION):
        return None
    meta = {**current["metadata"], "annotations": {**annotations_of(current), DESCRIPTION: TEXT}}
    rest = {key: value for key, value in current.items() if key != "binaryData"}
    return {**rest, "metadata": meta, "data": data}
