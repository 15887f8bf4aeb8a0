"""Checks of storage.k8s.io: classes, and what drivers say of themselves."""

from __future__ import annotations

from typing import Any

from panal import formats
from panal.quantity import parse

from ..fielderrors import FieldError, bad, duplicate, forbidden, required, too_long
from .checks import (
    NOT_NEGATIVE,
    Object,
    choice,
    formatted,
    items,
    lifetime,
    not_negative,
    optional_choice,
    optional_name,
)
from .labelselectors import label_selector
from .meta import IMMUTABLE, immutable
from .persistent import inline_volume

_PARAMETER_BYTES, _PARAMETERS = 256 * 1024, 512
_MESSAGE_BYTES = 1024
_NODE_ID_BYTES = 192


def _provisioner(value: str, field: str) -> list[FieldError]:
    return [bad(field, value, text) for text in formats.qualified_name(value.lower())] if value else [required(field)]


def _parameters(found: Object, *, needed: bool = False) -> list[FieldError]:
    if needed and not found:
        return [required("parameters", "must contain at least one key/value pair")]
    if len(found) > _PARAMETERS:
        return [too_long("parameters", _PARAMETERS)]
    errors = [bad("parameters", key, "field can not be empty.") for key in found if not key]
    if sum(len(key.encode()) + len(value.encode()) for key, value in found.items()) > _PARAMETER_BYTES:
        errors.append(too_long("parameters", _PARAMETER_BYTES))
    return errors


def storage_class(obj: Object) -> list[FieldError]:
    errors = _provisioner(obj.get("provisioner", ""), "provisioner") + _parameters(obj.get("parameters") or {})
    errors += optional_choice(obj.get("reclaimPolicy") or None, "reclaimPolicy", ("Delete", "Retain"))
    errors += choice(obj.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))
    seen: list[Any] = []
    for term, where in items(obj.get("allowedTopologies"), "allowedTopologies"):
        wanted, wrong = _topology(term, where)
        errors += wrong
        if wanted in seen:
            errors.append(duplicate(f"{where}.matchLabelExpressions", ""))
        seen.append(wanted)
    return errors


def _topology(term: Object, where: str) -> tuple[dict[str, set[str]], list[FieldError]]:
    found: dict[str, set[str]] = {}
    errors: list[FieldError] = []
    for each, at in items(term.get("matchLabelExpressions"), f"{where}.matchLabelExpressions"):
        key, values = each.get("key", ""), each.get("values") or ()
        if not values:
            errors.append(required(f"{at}.values"))
        errors += [
            duplicate(f"{at}.values[{index}]", value) for index, value in enumerate(values) if value in values[:index]
        ]
        errors += formatted(key, f"{at}.key", formats.qualified_name)
        if key in found:
            errors.append(duplicate(f"{at}.key", key))
        found[key] = set(values)
    return found, errors


def _fixed(new: Object, old: Object, *keys: str) -> list[FieldError]:
    return [forbidden(key, f"updates to {key} are forbidden.") for key in keys if new.get(key) != old.get(key)]


def storage_class_update(new: Object, old: Object) -> list[FieldError]:
    mode = new.get("volumeBindingMode"), old.get("volumeBindingMode")
    return _fixed(new, old, "parameters", "provisioner", "reclaimPolicy") + immutable(*mode, "volumeBindingMode")


def attributes_class(obj: Object) -> list[FieldError]:
    """A VolumeAttributesClass."""
    return _provisioner(obj.get("driverName", ""), "driverName") + _parameters(obj.get("parameters") or {}, needed=True)


def attributes_class_update(new: Object, old: Object) -> list[FieldError]:
    return _fixed(new, old, "driverName", "parameters")


def driver_name(value: str, field: str) -> list[FieldError]:
    """The name of a CSI driver."""
    errors = [] if value else [required(field)]
    if len(value) > 63:
        errors.append(too_long(field, 63))
    return errors + [bad(field, value, text) for text in formats.subdomain_name(value.lower())]


def csi_driver(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    needed = ("attachRequired", "podInfoOnMount", "storageCapacity")
    errors = [required(f"spec.{key}") for key in needed if spec.get(key) is None]
    policies = ("File", "None", "ReadWriteOnceWithFSType")
    errors += optional_choice(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy", policies)
    errors += _token_requests(spec.get("tokenRequests"))
    for mode in spec.get("volumeLifecycleModes") or ():
        errors += optional_choice(mode, "spec.volumeLifecycleModes", ("Persistent", "Ephemeral"))
    if spec.get("seLinuxMount") is None:
        errors.append(required("spec.seLinuxMount"))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < 10:
        words = "must be greater than or equal to 10 seconds"
        errors.append(bad("spec.nodeAllocatableUpdatePeriodSeconds", period, words))
    return errors


def _token_requests(found: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for each, where in items(found, "spec.tokenRequests"):
        audience, seconds = each.get("audience", ""), each.get("expirationSeconds")
        if audience in seen:
            errors.append(duplicate(f"{where}.audience", audience))
            continue
        seen.add(audience)
        if seconds is not None:
            errors += lifetime(seconds, f"{where}.expirationSeconds")
    return errors


def csi_driver_update(new: Object, old: Object) -> list[FieldError]:
    """The path of the first is misspelt in Kubernetes, too."""
    now, was = new.get("spec") or {}, old.get("spec") or {}
    errors = immutable(now.get("attachRequired"), was.get("attachRequired"), "spec.attachedRequired")
    modes = now.get("volumeLifecycleModes"), was.get("volumeLifecycleModes")
    return errors + immutable(*modes, "spec.volumeLifecycleModes")


def csi_node(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for driver, where in items((obj.get("spec") or {}).get("drivers"), "spec.drivers"):
        called, node = driver.get("name", ""), driver.get("nodeID", "")
        errors += driver_name(called, f"{where}.name")
        if not node:
            errors.append(required(f"{where}.nodeID"))
        if len(node) > _NODE_ID_BYTES:
            errors.append(bad(f"{where}.nodeID", node, f"must be {_NODE_ID_BYTES} characters or less"))
        errors += not_negative(driver.get("allocatable") or {}, f"{where}.allocatable", "count")
        if called in names:
            errors.append(duplicate(f"{where}.name", called))
        names.add(called)
        keys = driver.get("topologyKeys") or []
        for index, key in enumerate(keys):
            if not key:
                errors.append(required(where))
            if key in keys[:index]:
                errors.append(duplicate(where, key))
            errors += [bad(where, keys, text) for text in formats.qualified_name(key)]
    return errors


def csi_node_update(new: Object, old: Object) -> list[FieldError]:
    """A driver may say anew how many volumes there may be, and nothing else."""
    now, was = ((obj.get("spec") or {}).get("drivers") or () for obj in (new, old))
    before = {driver.get("name"): driver for driver in was}
    return [
        bad("CSINodeDriver", driver, IMMUTABLE)
        for driver in now
        if driver.get("name") in before
        and {**driver, "allocatable": None} != {**before[driver.get("name")], "allocatable": None}
    ]


def volume_attachment(obj: Object) -> list[FieldError]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    attacher, source = spec.get("attacher", ""), spec.get("source") or {}
    volume, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    errors = [] if attacher else [required("spec.attacher")]
    words = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if volume is None and inline is None:
        errors.append(required("spec.source", words))
    elif volume is not None and inline is not None:
        errors.append(forbidden("spec.source", words))
    elif volume is not None and not volume:
        errors.append(required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName"))
    elif inline is not None:
        errors += inline_volume(inline, "spec.source.inlineVolumeSpec")
    errors += formatted(spec.get("nodeName", ""), "spec.nodeName", formats.subdomain_name)
    for key in ("attachError", "detachError"):
        if len((status.get(key) or {}).get("message", "").encode()) > _MESSAGE_BYTES:
            errors.append(too_long(f"status.{key}.message", _MESSAGE_BYTES))
    if attacher:
        errors += driver_name(attacher, "spec.attacher")
    return errors + optional_name(volume, "spec.source.persistentVolumeName", formats.subdomain_name)


def volume_attachment_update(new: Object, old: Object) -> list[FieldError]:
    return immutable(new.get("spec"), old.get("spec"), "spec")


def storage_capacity(obj: Object) -> list[FieldError]:
    """A CSIStorageCapacity."""
    errors = label_selector(obj.get("nodeTopology"), "nodeTopology")
    errors += formatted(obj.get("storageClassName", ""), "storageClassName", formats.subdomain_name)
    errors += [
        bad(key, obj[key], NOT_NEGATIVE)
        for key in ("capacity", "maximumVolumeSize")
        if obj.get(key) is not None and parse(obj[key]) < 0
    ]
    return errors


def storage_capacity_update(new: Object, old: Object) -> list[FieldError]:
    keys = ("nodeTopology", "storageClassName")
    return [error for key in keys for error in immutable(new.get(key), old.get(key), key)]
