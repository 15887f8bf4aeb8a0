"""Checks of the metadata that all kinds share: names, labels, annotations, owners, finalizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, required, show, too_long

TOTAL_ANNOTATIONS = 256 * 1024
"""Kubernetes' bound on the size of all keys and values of an object's annotations."""
IMMUTABLE = "field is immutable"

NameCheck = Callable[[str], list[str]]


def subdomain_or_message(name: str) -> list[str]:
    """The usual rule for names: a DNS subdomain."""
    return formats.subdomain_name(name)


def path_segment_name(name: str) -> list[str]:
    """The rule for names that only have to fit into a URL: RBAC's, and of what validates its names itself."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def validate(metadata: Mapping[str, Any], namespaced: bool, check_name: NameCheck) -> list[FieldError]:
    """Everything wrong with a new object's metadata."""
    errors: list[FieldError] = []
    prefix = metadata.get("generateName")
    if prefix:
        masked = prefix[:-1] + "a" if prefix.endswith("-") and len(prefix) > 1 else prefix
        errors += [bad("metadata.generateName", prefix, complaint) for complaint in check_name(masked)]
    name = metadata.get("name")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += [bad("metadata.name", name, complaint) for complaint in check_name(name)]
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            errors.append(required("metadata.namespace"))
        else:
            errors += [bad("metadata.namespace", namespace, text) for text in formats.label_name(namespace)]
    elif namespace:
        errors.append(forbidden("metadata.namespace", "not allowed on this type"))
    return errors + _labels_to_finalizers(metadata)


def validate_template(metadata: Mapping[str, Any], field: str) -> list[FieldError]:
    """Labels and annotations of a pod template's metadata."""
    return labels(metadata.get("labels"), f"{field}.labels") + annotations_(
        metadata.get("annotations"), f"{field}.annotations"
    )


def validate_update(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    """Everything wrong with changed metadata: what may not change, and what changed for the worse."""
    errors: list[FieldError] = []
    if new.get("generation", 0) < old.get("generation", 0):
        errors.append(bad("metadata.generation", new.get("generation", 0), "must not be decremented"))
    errors += [
        bad(f"metadata.{key}", new.get(key, "" if key in ("name", "namespace") else None), IMMUTABLE)
        for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
        if new.get(key) != old.get(key)
    ]
    if old.get("deletionTimestamp"):
        before = set(old.get("finalizers") or ())
        if added := [item for item in new.get("finalizers") or () if item not in before]:
            shown = " ".join(sorted(added))
            errors.append(
                forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new finalizers "
                    f"[]string{{{', '.join(show(item) for item in shown.split())}}}",
                )
            )
    if any(new.get(key) != old.get(key) for key in ("labels", "annotations", "ownerReferences", "finalizers")):
        errors += _labels_to_finalizers(new)
    return errors


def _labels_to_finalizers(metadata: Mapping[str, Any]) -> list[FieldError]:
    return (
        labels(metadata.get("labels"), "metadata.labels")
        + annotations_(metadata.get("annotations"), "metadata.annotations")
        + owners(metadata.get("ownerReferences") or ())
        + finalizers(metadata.get("finalizers") or ())
    )


def labels(found: Mapping[str, str] | None, field: str) -> list[FieldError]:
    errors = []
    for key, value in (found or {}).items():
        errors += [bad(field, key, complaint) for complaint in formats.qualified_name(key)]
        errors += [bad(field, value, complaint) for complaint in formats.label_value(value)]
    return errors


def annotations_(found: Mapping[str, str] | None, field: str) -> list[FieldError]:
    errors, size = [], 0
    for key, value in (found or {}).items():
        errors += [bad(field, key, complaint) for complaint in formats.qualified_name(key.lower())]
        size += len(key.encode()) + len(value.encode())
    if size > TOTAL_ANNOTATIONS:
        errors.append(too_long(field, TOTAL_ANNOTATIONS))
    return errors


def owners(references: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    controllers = []
    for index, reference in enumerate(references):
        field = "metadata.ownerReferences"
        api_version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
        group, _, version = api_version.rpartition("/")
        if not version:
            errors.append(bad(f"{field}.apiVersion", api_version, "version must not be empty"))
        errors += [
            bad(f"{field}.{key}", reference.get(key, ""), "must not be empty")
            for key in ("kind", "name", "uid")
            if not reference.get(key)
        ]
        if (group, kind) == ("", "Event"):
            errors.append(bad(f"{field}", reference, f"{kind} is disallowed from being an owner"))
        if reference.get("controller"):
            controllers.append(index)
    if len(controllers) > 1:
        shown = references[controllers[0]].get("kind"), references[controllers[1]].get("kind")
        errors.append(
            bad(
                "metadata.ownerReferences",
                references,
                "Only one reference can have Controller set to true. Found "
                f'"true" in references for {shown[0]} and {shown[1]}',
            )
        )
    return errors


def finalizers(found: Any) -> list[FieldError]:
    return [error for finalizer in found for error in finalizer_name(finalizer, "metadata.finalizers")]


def finalizer_name(finalizer: str, field: str) -> list[FieldError]:
    errors = [bad(field, finalizer, text) for text in formats.qualified_name(finalizer)]
    if "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion", "kubernetes"):
        errors.append(bad(field, finalizer, "name is neither a standard finalizer name nor is it fully qualified"))
    return errors


def immutable(new: Any, old: Any, field: str) -> list[FieldError]:
    return [] if new == old else [bad(field, new, IMMUTABLE)]
