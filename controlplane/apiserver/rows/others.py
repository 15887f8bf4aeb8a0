"""Rows of access control, storage, scheduling, coordination and the rest."""

from __future__ import annotations

from typing import Any

from .cells import NONE, Object, Row, age, few, name

_UNSET = "<unset>"


def created(obj: Object, now: float) -> list[Any]:
    """For kinds that show when they were created, and nothing else."""
    return [name(obj), obj["metadata"].get("creationTimestamp")]


def binding(obj: Object, now: float) -> list[Any]:
    role = obj.get("roleRef") or {}
    subjects: list[Object] = obj.get("subjects") or []

    def called(kind: str) -> str:
        return ", ".join(each["name"] for each in subjects if each.get("kind") == kind)

    accounts = ", ".join(f"{s.get('namespace', '')}/{s['name']}" for s in subjects if s["kind"] == "ServiceAccount")
    shown = f"{role.get('kind', '')}/{role.get('name', '')}"
    return [name(obj), shown, age(obj, now), called("User"), called("Group"), accounts]


def priority_class(obj: Object, now: float) -> list[Any]:
    policy = obj.get("preemptionPolicy", "")
    return [name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now), policy]


def lease(obj: Object, now: float) -> list[Any]:
    return [name(obj), (obj.get("spec") or {}).get("holderIdentity") or "", age(obj, now)]


def runtime_class(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj.get("handler", ""), age(obj, now)]


def storage_class(obj: Object, now: float) -> list[Any]:
    annotations = obj["metadata"].get("annotations") or {}
    default = "true" in (
        annotations.get("storageclass.kubernetes.io/is-default-class"),
        annotations.get("storageclass.beta.kubernetes.io/is-default-class"),
    )
    return [
        f"{name(obj)} (default)" if default else name(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def csi_driver(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    audiences = ",".join(each.get("audience", "") for each in spec.get("tokenRequests") or ())
    modes = ",".join(spec.get("volumeLifecycleModes") or ("Persistent",))
    return [
        name(obj),
        bool(spec.get("attachRequired", True)),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        audiences or _UNSET,
        bool(spec.get("requiresRepublish")),
        modes,
        age(obj, now),
    ]


def csi_node(obj: Object, now: float) -> list[Any]:
    return [name(obj), len((obj.get("spec") or {}).get("drivers") or ()), age(obj, now)]


def volume_attachment(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    volume = (spec.get("source") or {}).get("persistentVolumeName", "")
    attached = bool(status.get("attached"))
    return [name(obj), spec.get("attacher", ""), volume, spec.get("nodeName", ""), attached, age(obj, now)]


def volume_attributes_class(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj.get("driverName", ""), age(obj, now)]


def signing_request(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    conditions = [each["type"] for each in status.get("conditions") or ()]
    words = conditions or ["Pending"]
    if status.get("certificate"):
        words.append("Issued")
    seconds = spec.get("expirationSeconds")
    return [
        name(obj),
        age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        f"{seconds}s" if seconds else NONE,
        ",".join(words),
    ]


def api_service(obj: Object, now: float) -> list[Any]:
    target = (obj.get("spec") or {}).get("service")
    available: Object = next(
        (each for each in (obj.get("status") or {}).get("conditions") or () if each["type"] == "Available"), {}
    )
    status = available.get("status", "Unknown")
    if status == "False":
        status = f"False ({available.get('reason', '')})"
    return [name(obj), f"{target['namespace']}/{target['name']}" if target else "Local", status, age(obj, now)]


def webhooks(obj: Object, now: float) -> list[Any]:
    return [name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def admission_policy(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    rules = spec.get("validations") if "validations" in spec else spec.get("mutations")
    kind = spec.get("paramKind")
    shown = f"{kind['apiVersion']}/{kind['kind']}" if kind else _UNSET
    return [name(obj), len(rules or ()), shown, age(obj, now)]


def admission_policy_binding(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    reference = spec.get("paramRef")
    shown = _UNSET
    if reference:
        place = reference.get("namespace")
        called = reference.get("name") or "*"
        shown = f"{place}/{called}" if place else called
    return [name(obj), spec.get("policyName", ""), shown, age(obj, now)]


def flow_schema(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    dangling = next((each["status"] for each in status.get("conditions") or () if each["type"] == "Dangling"), "?")
    return [
        name(obj),
        (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        (spec.get("distinguisherMethod") or {}).get("type") or NONE,
        age(obj, now),
        dangling,
    ]


def priority_level(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    limited = spec.get("limited") or {}
    shares = (spec.get("exempt") or limited).get("nominalConcurrencyShares", NONE)
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    depths = [queuing.get(key, NONE) for key in ("queues", "handSize", "queueLengthLimit")]
    return [name(obj), spec.get("type", ""), shares, *depths, age(obj, now)]


def resource_claim(obj: Object, now: float) -> list[Any]:
    status = obj.get("status") or {}
    words = []
    if obj["metadata"].get("deletionTimestamp"):
        words.append("deleted")
    if status.get("allocation") is None:
        words += [] if words else ["pending"]
    else:
        words.append("allocated")
        if status.get("reservedFor"):
            words.append("reserved")
    return [name(obj), ",".join(words), age(obj, now)]


def resource_slice(obj: Object, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    pool = (spec.get("pool") or {}).get("name", "")
    return [name(obj), spec.get("nodeName") or "", spec.get("driver", ""), few([pool]), age(obj, now)]


_RBAC, _STORAGE, _ADMISSION = "rbac.authorization.k8s.io", "storage.k8s.io", "admissionregistration.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"

OTHERS: dict[tuple[str, str], Row] = {
    (_RBAC, "roles"): created,
    (_RBAC, "clusterroles"): created,
    (_RBAC, "rolebindings"): binding,
    (_RBAC, "clusterrolebindings"): binding,
    ("apiextensions.k8s.io", "customresourcedefinitions"): created,
    ("scheduling.k8s.io", "priorityclasses"): priority_class,
    ("coordination.k8s.io", "leases"): lease,
    ("node.k8s.io", "runtimeclasses"): runtime_class,
    (_STORAGE, "storageclasses"): storage_class,
    (_STORAGE, "csidrivers"): csi_driver,
    (_STORAGE, "csinodes"): csi_node,
    (_STORAGE, "csistoragecapacities"): created,
    (_STORAGE, "volumeattachments"): volume_attachment,
    (_STORAGE, "volumeattributesclasses"): volume_attributes_class,
    ("certificates.k8s.io", "certificatesigningrequests"): signing_request,
    ("apiregistration.k8s.io", "apiservices"): api_service,
    (_ADMISSION, "mutatingwebhookconfigurations"): webhooks,
    (_ADMISSION, "validatingwebhookconfigurations"): webhooks,
    (_ADMISSION, "validatingadmissionpolicies"): admission_policy,
    (_ADMISSION, "mutatingadmissionpolicies"): admission_policy,
    (_ADMISSION, "validatingadmissionpolicybindings"): admission_policy_binding,
    (_ADMISSION, "mutatingadmissionpolicybindings"): admission_policy_binding,
    (_FLOW, "flowschemas"): flow_schema,
    (_FLOW, "prioritylevelconfigurations"): priority_level,
    ("resource.k8s.io", "resourceclaims"): resource_claim,
    ("resource.k8s.io", "resourceslices"): resource_slice,
}
