"""Checks of a CustomResourceDefinition but for its schemas: names, versions, columns, subresources, conversion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from . import webhooks
from .checks import Object, items, lacking
from .meta import immutable

_SCOPES, _STRATEGIES = ("Cluster", "Namespaced"), ("None", "Webhook")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_WARNING_BYTES = 256
_SIMPLE = "must be a simple json path starting with ."


def definition(obj: Object) -> list[FieldError]:
    """What holds for a new one; schemas and paths of fields are checked with `custom.definitions`."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    names = spec.get("names") or {}
    errors: list[FieldError] = []
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        errors.append(bad("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    errors += _group(spec.get("group", ""))
    errors += _one_of(spec.get("scope"), "spec.scope", _SCOPES)
    versions = spec.get("versions") or ()
    for version, where in items(versions, "spec.versions"):
        errors += _version(version, where)
    if len({version.get("name") for version in versions}) < len(versions):
        errors.append(bad("spec.versions", list(versions), "must contain unique version names"))
    if sum(1 for version in versions if version.get("storage")) != 1:
        words = "must have exactly one version marked as storage version"
        errors.append(bad("spec.versions", list(versions), words))
    errors += lacking(names, "spec.names", "plural", "singular", "kind", "listKind")
    return errors + _names(names, "spec.names") + _conversion(spec.get("conversion") or {}, "spec.conversion")


def new(obj: Object) -> list[FieldError]:
    """What is asked of new ones only: groups of the Kubernetes project need its approval."""
    from ..custom import naming

    errors = _unknown_fields(obj)
    if not naming.is_protected((obj.get("spec") or {}).get("group", "")):
        return errors
    _, reason, words = naming.approval(dict(obj))
    field = f"metadata.annotations[{naming.APPROVAL}]"
    if reason == "MissingAnnotation":
        errors.append(required(field, words))
    elif reason == "InvalidAnnotation":
        errors.append(bad(field, (obj["metadata"].get("annotations") or {}).get(naming.APPROVAL, ""), words))
    return errors


def update(obj: Object, old: Object) -> list[FieldError]:
    now, was = obj["spec"], old["spec"]
    errors: list[FieldError] = []
    if not was.get("preserveUnknownFields"):
        errors += _unknown_fields(obj)
    established = any(
        each["type"] == "Established" and each["status"] == "True"
        for each in (old.get("status") or {}).get("conditions") or ()
    )
    if established:
        errors += immutable(now.get("scope"), was.get("scope"), "spec.scope")
        errors += immutable(now["names"].get("kind"), was["names"].get("kind"), "spec.names.kind")
    errors += immutable(now.get("group"), was.get("group"), "spec.group")
    errors += immutable(now["names"].get("plural"), was["names"].get("plural"), "spec.names.plural")
    return errors + _stored(obj)


def _unknown_fields(obj: Object) -> list[FieldError]:
    if not (obj.get("spec") or {}).get("preserveUnknownFields"):
        return []
    words = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    return [bad("spec.preserveUnknownFields", True, words)]


def _stored(obj: Object) -> list[FieldError]:
    """No version goes while objects may be stored in it."""
    known = {version.get("name") for version in obj["spec"].get("versions") or ()}
    stored = items((obj.get("status") or {}).get("storedVersions"), "status.storedVersions")
    return [bad(where, name, "must appear in spec.versions") for name, where in stored if name not in known]


def _group(group: str) -> list[FieldError]:
    if not group:
        return [required("spec.group")]
    if wrong := formats.subdomain_name(group):
        return [bad("spec.group", group, ",".join(wrong))]
    return [] if "." in group else [bad("spec.group", group, "should be a domain with at least one dot")]


def _one_of(value: str | None, field: str, known: Sequence[str]) -> list[FieldError]:
    if not value:
        return [required(field)]
    return [] if value in known else [not_supported(field, value, known)]


def _version(version: Object, where: str) -> list[FieldError]:
    name = version.get("name", "")
    errors: list[FieldError] = []
    if wrong := formats.label_name_1035(name):
        errors.append(bad(f"{where}.name", name, ",".join(wrong)))
    warning = version.get("deprecationWarning")
    if warning is not None:
        errors += [bad(f"{where}.deprecationWarning", warning, words) for words in _warning(version, warning)]
    if not (version.get("schema") or {}).get("openAPIV3Schema"):
        errors.append(required(f"{where}.schema.openAPIV3Schema"))
    if scale := (version.get("subresources") or {}).get("scale"):
        errors += _scale(scale, f"{where}.subresources.scale")
    for column, at in items(version.get("additionalPrinterColumns"), f"{where}.additionalPrinterColumns"):
        errors += _column(column, at)
    return errors


def _warning(version: Object, warning: str) -> list[str]:
    wrong = [] if version.get("deprecated") else ["can only be set for deprecated versions"]
    if len(warning.encode()) > _WARNING_BYTES:
        wrong.append(f"must be <= {_WARNING_BYTES} characters long")
    if not warning.isprintable():
        wrong.append("must only contain printable UTF-8 characters; non-printable characters found")
    return wrong if warning else [*wrong, "must not be empty"]


def _column(column: Object, where: str) -> list[FieldError]:
    errors = lacking(column, where, "name")
    kind, form, words = column.get("type", ""), column.get("format"), f"must be one of {','.join(_COLUMN_TYPES)}"
    if not kind:
        errors.append(required(f"{where}.type", words))
    elif kind not in _COLUMN_TYPES:
        errors.append(bad(f"{where}.type", kind, words))
    if form and form not in _COLUMN_FORMATS:
        errors.append(bad(f"{where}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    if (path := column.get("jsonPath")) and not path.startswith("."):
        errors.append(bad(f"{where}.jsonPath", path, _SIMPLE))
    return errors


def _scale(scale: Object, where: str) -> list[FieldError]:
    errors = _path(scale.get("specReplicasPath"), f"{where}.specReplicasPath", (".spec.",), "under .spec")
    errors += _path(scale.get("statusReplicasPath"), f"{where}.statusReplicasPath", (".status.",), "under .status")
    if chosen := scale.get("labelSelectorPath"):
        under = "under either .spec or .status"
        errors += _path(chosen, f"{where}.labelSelectorPath", (".spec.", ".status."), under)
    return errors


def _path(path: str | None, field: str, below: tuple[str, ...], under: str) -> list[FieldError]:
    if not path:
        return [required(field)]
    if not path.startswith("."):
        return [bad(field, path, _SIMPLE)]
    return [] if path.startswith(below) else [bad(field, path, f"should be a json path {under}")]


def _names(names: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, mixed in (("plural", False), ("singular", False), ("kind", True), ("listKind", True)):
        name = names.get(key) or ""
        if name and (wrong := formats.label_name_1035(name.lower() if mixed else name)):
            lead = "may have mixed case, but should otherwise match: " if mixed else ""
            errors.append(bad(f"{where}.{key}", name, lead + ",".join(wrong)))
    errors += _labels(names.get("shortNames"), f"{where}.shortNames")
    if names.get("kind") and names["kind"] == names.get("listKind"):
        errors.append(bad(f"{where}.listKind", names["listKind"], "kind and listKind may not be the same"))
    return errors + _labels(names.get("categories"), f"{where}.categories")


def _labels(found: Any, field: str) -> list[FieldError]:
    each = ((name, where, formats.label_name_1035(name)) for name, where in items(found, field))
    return [bad(where, name, ",".join(wrong)) for name, where, wrong in each if wrong]


def _conversion(conversion: Object, where: str) -> list[FieldError]:
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook")
    errors = _one_of(strategy, f"{where}.strategy", _STRATEGIES)
    client = (webhook or {}).get("clientConfig")
    field, words = f"{where}.webhookClientConfig", "should not be set when strategy is not set to Webhook"
    if strategy != "Webhook":
        if client is not None:
            errors.append(forbidden(field, words))
        if (webhook or {}).get("conversionReviewVersions"):
            errors.append(forbidden(f"{where}.conversionReviewVersions", words))
        return errors
    if client is None:
        errors.append(required(field, "required when strategy is set to Webhook"))
    else:
        errors += webhooks.client(client, field)
    found = list((webhook or {}).get("conversionReviewVersions") or ())
    return errors + webhooks.review_versions(found, f"{where}.conversionReviewVersions", "")
