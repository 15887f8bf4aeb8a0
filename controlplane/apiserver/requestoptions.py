"""The options of a write in its query: checked once, with Kubernetes' words. Pure.

ValidateCreateOptions, ValidateUpdateOptions and ValidatePatchOptions of apimachinery's meta/v1 validation.
"""

from __future__ import annotations

from panal.errors import Invalid

from .fielderrors import FieldError, bad, forbidden, invalid, not_supported, required, too_long
from .request import Query

_KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_MANAGER_LIMIT = 128
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def check(verb: str, query: Query, *, apply: bool = False) -> None:
    """Raises Invalid for options that make no sense."""
    errors = []
    if verb == "patch":
        if apply and not query.get("fieldManager"):
            errors.append(required("fieldManager", "is required for apply patch"))
        elif not apply and "force" in query:
            errors.append(forbidden("force", "may not be specified for non-apply patch"))
    errors += manager(query.get("fieldManager"))
    errors += dry_run(query.get("dryRun"))
    if (value := query.get("fieldValidation")) not in _VALIDATIONS:
        errors.append(not_supported("fieldValidation", value, _VALIDATIONS))
    if errors:
        raise refused(_KINDS.get(verb, "CreateOptions"), errors)


def manager(name: str) -> list[FieldError]:
    """What is wrong with a field manager's name."""
    if len(name.encode("utf-8", "replace")) > _MANAGER_LIMIT:
        return [too_long("fieldManager", _MANAGER_LIMIT)]
    if not name.isprintable():
        return [bad("fieldManager", name, "should only contain printable characters")]
    return []


def dry_run(value: str) -> list[FieldError]:
    """All or nothing."""
    return [not_supported("dryRun", [value], ("All",))] if value not in ("", "All") else []


def refused(kind: str, errors: list[FieldError]) -> Invalid:
    return invalid(kind, "meta.k8s.io", "", errors)
