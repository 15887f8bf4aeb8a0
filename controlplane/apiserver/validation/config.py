"""Checks of ConfigMaps, Secrets and Namespaces."""

from __future__ import annotations

import base64

import orjson

from panal import formats

from .. import gojson
from ..fielderrors import FieldError, bad, forbidden, required, too_long
from .checks import Object, formatted, items
from .meta import finalizer_name, immutable

MAX_DATA = 1024 * 1024
"""Kubernetes' bound on all values of a ConfigMap or Secret."""
_FROZEN = "field is immutable when `immutable` is set"


def config_map(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        errors += formatted(key, f"data[{key}]", formats.config_key)
        if key in binary:
            errors.append(bad(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in binary:
        errors += formatted(key, f"binaryData[{key}]", formats.config_key)
    if sum(len(value.encode()) for value in data.values()) + _size(binary) > MAX_DATA:
        errors.append(too_long("", MAX_DATA))
    return errors


def _size(encoded: Object) -> int:
    return sum(len(value) * 3 // 4 - value.count("=", -2) for value in encoded.values() if value)


def config_map_update(new: Object, old: Object) -> list[FieldError]:
    return frozen(new, old, "data", "binaryData")


def frozen(new: Object, old: Object, *keys: str) -> list[FieldError]:
    """An immutable ConfigMap or Secret keeps its data, and stays immutable."""
    if not old.get("immutable"):
        return []
    errors = [] if new.get("immutable") else [forbidden("immutable", _FROZEN)]
    return errors + [forbidden(key, _FROZEN) for key in keys if new.get(key) != old.get(key)]


_KEYS = {"kubernetes.io/tls": ("tls.crt", "tls.key")}
_DOCKER = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}
_ACCOUNT = "kubernetes.io/service-account.name"


def secret(obj: Object) -> list[FieldError]:
    data, kind = obj.get("data") or {}, obj.get("type", "")
    errors = [error for key in data for error in formatted(key, f"data[{key}]", formats.config_key)]
    if _size(data) > MAX_DATA:
        errors.append(too_long("data", MAX_DATA))
    errors += [required(f"data[{key}]") for key in _KEYS.get(kind, ()) if key not in data]
    if kind in _DOCKER:
        errors += _docker(data, _DOCKER[kind])
    elif kind == "kubernetes.io/ssh-auth" and not data.get("ssh-privatekey"):
        errors.append(required("data[ssh-privatekey]"))
    elif kind == "kubernetes.io/basic-auth" and not ("username" in data or "password" in data):
        errors += [required(f"data[{key}]") for key in ("username", "password")]
    elif kind == "kubernetes.io/service-account-token":
        if not (obj["metadata"].get("annotations") or {}).get(_ACCOUNT):
            errors.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    return errors


def _docker(data: Object, key: str) -> list[FieldError]:
    """Credentials for registries: a JSON object, of which no error tells the contents."""
    if key not in data:
        return [required(f"data[{key}]")]
    raw = base64.b64decode(data[key] or "")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        why = gojson.complaint(raw)
    else:
        if isinstance(found, dict) or found is None:
            return []
        why = f"json: cannot unmarshal {gojson.kind(found)} into Go value of type map[string]interface {{}}"
    return [bad(f"data[{key}]", "<secret contents redacted>", why)]


def secret_update(new: Object, old: Object) -> list[FieldError]:
    return immutable(new.get("type", ""), old.get("type", ""), "type") + frozen(new, old, "data")


def namespace(obj: Object) -> list[FieldError]:
    found = (obj.get("spec") or {}).get("finalizers") or ()
    return [error for each in found for error in finalizer_name(each, "spec.finalizers")]


def namespace_finalizers(obj: Object) -> list[FieldError]:
    """Of the subresource `finalize`."""
    found = items((obj.get("spec") or {}).get("finalizers"), "spec.finalizers")
    return [error for each, where in found for error in finalizer_name(each, where)]


def namespace_status(obj: Object, old: Object) -> list[FieldError]:
    phase, going = (obj.get("status") or {}).get("phase", ""), bool(obj["metadata"].get("deletionTimestamp"))
    if not going and phase != "Active":
        return [bad("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    if going and phase != "Terminating":
        return [bad("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
    return []
