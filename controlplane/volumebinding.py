"""Which volume a claim may have: what claims, volumes and classes say. Pure; the binder and the scheduler share it.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from panal.quantity import parse
from panal.selectors import from_label_selector

from .scheduler.matching import term_matches

Object = dict[str, Any]
Json = Mapping[str, Any]

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
_LEGACY_CLASS = "volume.beta.kubernetes.io/storage-class"


def notes_of(obj: Json) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def class_of(obj: Json) -> str:
    """The class of a claim or a volume; "" for none."""
    return str(notes_of(obj).get(_LEGACY_CLASS) or obj["spec"].get("storageClassName") or "")


def is_bound(claim: Json) -> bool:
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in notes_of(claim)


def waits_for_consumer(storage_class: Json | None) -> bool:
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def requested(claim: Json) -> Decimal:
    """Bytes."""
    return parse(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage") or "0")


def capacity(volume: Json) -> Decimal:
    """Bytes."""
    return parse((volume["spec"].get("capacity") or {}).get("storage") or "0")


def points_at(volume: Json, claim: Json) -> bool:
    """Whether the volume is meant for this claim; a reference without uid means whoever has the name."""
    reference, meta = volume["spec"].get("claimRef") or {}, claim["metadata"]
    same = (reference.get("namespace"), reference.get("name")) == (meta.get("namespace"), meta["name"])
    return same and reference.get("uid") in (None, "", meta.get("uid"))


def belongs_to(volume: Json, claim: Json) -> bool:
    """Whether the volume is bound to this very claim."""
    return points_at(volume, claim) and bool(volume["spec"]["claimRef"].get("uid"))


def mismatch(volume: Json, claim: Json) -> str | None:
    """Why the volume is not what the claim asks for, in upstream's words."""
    wanted, spec = claim["spec"], volume["spec"]
    if (volume["metadata"]).get("deletionTimestamp"):
        return f'the volume is marked for deletion "{volume["metadata"]["name"]}"'
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if (spec.get("volumeMode") or "Filesystem") != (wanted.get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return None


def fits_node(volume: Json, node: Json) -> bool:
    """The volume's required node affinity."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if required is None:
        return True
    return any(term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def best(claim: Json, volumes: Iterable[Object], fits: Callable[[Object], bool] = lambda _: True) -> Object | None:
    """The volume meant for the claim, else the smallest free one that is what it asks for."""
    selector = from_label_selector(claim["spec"].get("selector") or {})
    free: list[Object] = []
    for volume in volumes:
        if mismatch(volume, claim) is not None or not fits(volume):
            continue
        if volume["spec"].get("claimRef"):
            if points_at(volume, claim):
                return volume
        elif (volume.get("status") or {}).get("phase") == "Available":
            if selector.matches(volume["metadata"].get("labels") or {}):
                free.append(volume)
    return min(free, key=lambda volume: (capacity(volume), volume["metadata"]["name"]), default=None)


def topology_allows(storage_class: Json, node: Json) -> bool:
    """The class's allowedTopologies."""
    terms = storage_class.get("allowedTopologies") or ()
    labels = node["metadata"].get("labels") or {}
    return not terms or any(
        all(labels.get(item["key"]) in item["values"] for item in term.get("matchLabelExpressions") or ())
        for term in terms
    )


def claim_names(pod: Json) -> list[str]:
    """The claims of the pod's namespace that its volumes name."""
    found = [volume.get("persistentVolumeClaim") for volume in (pod.get("spec") or {}).get("volumes") or ()]
    return list(dict.fromkeys(str(source["claimName"]) for source in found if source and source.get("claimName")))
