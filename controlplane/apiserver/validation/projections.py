"""Checks of what becomes files in a pod: keys of ConfigMaps and Secrets, the downward API, tokens, and all of them."""

from __future__ import annotations

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, required
from .checks import Object, items, lacking, lifetime, optional_name
from .environment import field_reference, resource_reference
from .labelselectors import label_selector
from .paths import unreserved

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_DOWNWARD_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
)  # fmt: skip
_TWICE = "conflicting duplicate paths"
_NAMED = ("secret", "configMap")


def mode(source: Object, where: str, key: str = "defaultMode") -> list[FieldError]:
    found = source.get(key)
    return [] if found is None or 0 <= found <= 0o777 else [bad(f"{where}.{key}", found, _MODE)]


def files(source: Object, where: str) -> list[FieldError]:
    """Keys that become files."""
    errors = mode(source, where)
    for item, at in items(source.get("items"), f"{where}.items"):
        errors += lacking(item, at, "key", "path")
        errors += unreserved(item.get("path", ""), f"{at}.path") + mode(item, at, "mode")
    return errors


def downward(source: Object, where: str) -> list[FieldError]:
    """Fields of the pod that become files. Kubernetes does not say which item is wrong."""
    errors: list[FieldError] = []
    for item in source.get("items") or ():
        reference, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        errors += lacking(item, where, "path") + unreserved(item.get("path", ""), f"{where}.path")
        if reference is not None:
            errors += field_reference(reference, _DOWNWARD_FIELDS, f"{where}.fieldRef")
            if resource is not None:
                words = "fieldRef and resourceFieldRef can not be specified simultaneously"
                errors.append(bad(where, "resource", words))
        elif resource is not None:
            errors += resource_reference(resource, f"{where}.resourceFieldRef", volume=True)
        else:
            errors.append(required(where, "one of fieldRef and resourceFieldRef is required"))
        errors += mode(item, where, "mode")
    return errors


def projected(source: Object, where: str) -> list[FieldError]:
    errors = mode(source, where)
    seen: set[str] = set()

    def once(path: str, shown: str) -> list[FieldError]:
        if not path or path not in seen:
            seen.add(path)
            return []
        return [bad(where, shown, _TWICE)]

    for part, at in items(source.get("sources"), f"{where}.sources"):
        for key in _NAMED:
            if (found := part.get(key)) is not None:
                name = found.get("name", "")
                errors += lacking(found, f"{at}.{key}", "name")
                errors += files({"items": found.get("items")}, f"{at}.{key}")
                errors += [error for item in found.get("items") or () for error in once(item.get("path", ""), name)]
        if (found := part.get("downwardAPI")) is not None:
            errors += downward(found, f"{at}.downwardAPI")
            for item in found.get("items") or ():
                errors += once(item.get("path", ""), item.get("path", ""))
        if (found := part.get("serviceAccountToken")) is not None:
            errors += lifetime(found.get("expirationSeconds", 3600), f"{at}.serviceAccountToken.expirationSeconds")
            path = found.get("path", "")
            errors += unreserved(path, f"{where}.path") if path else [required(f"{where}.path")]
        if (found := part.get("clusterTrustBundle")) is not None:
            errors += _bundle(found, f"{at}.clusterTrustBundle")
            errors += once(found.get("path", ""), found.get("path", ""))
        if len(part) > 1:
            errors.append(forbidden(at, "may not specify more than 1 volume type per source"))
    return errors


def _bundle(found: Object, where: str) -> list[FieldError]:
    name, signer, path = found.get("name"), found.get("signerName"), found.get("path", "")
    errors: list[FieldError] = []
    if name is not None and signer is not None:
        errors.append(bad(where, dict(found), "only one of name and signerName may be used"))
    elif name is not None:
        if not name:
            errors.append(required(f"{where}.name", "must be a valid object name"))
        errors += optional_name(name.replace(":", "."), f"{where}.name", formats.subdomain_name)
        if found.get("labelSelector") is not None:
            words = "labelSelector must be unset if name is specified"
            errors.append(bad(f"{where}.labelSelector", found["labelSelector"], words))
    elif signer is not None:
        if not signer:
            errors.append(required(f"{where}.signerName", "must be a valid signer name"))
        errors += label_selector(found.get("labelSelector"), f"{where}.labelSelector")
    else:
        errors.append(required(where, "either name or signerName must be specified"))
    return errors + lacking(found, where, "path") + unreserved(path, f"{where}.path")
