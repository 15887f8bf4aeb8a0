"""What a CustomResourceDefinition's status says: its accepted names and its conditions. Pure.

Names are accepted as far as no other definition of the group has them; a definition whose names are all accepted is
established, and stays so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVAL = "api-approved.kubernetes.io"


def is_protected(group: str) -> bool:
    """Whether the group is the Kubernetes project's own, which must approve of what is in it."""
    return any(group == domain or group.endswith(f".{domain}") for domain in ("k8s.io", "kubernetes.io"))


def reviewed(definition: Object, others: Iterable[Object], now: str) -> Object:
    """The status as it should be. `others` are the other definitions; `now` is RFC 3339."""
    status = {**(definition.get("status") or {})}
    wanted, accepted = definition["spec"]["names"], status.get("acceptedNames") or {}
    resources, kinds = _taken(definition, others)
    names, conflict = _accepted(wanted, accepted, resources, kinds)
    conditions = list(status.get("conditions") or ())
    if conflict is None:
        conflict = ("True", "NoConflicts", "no conflicts found")
    conditions = with_condition(conditions, "NamesAccepted", *conflict, now)
    if not any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
        if conflict[0] == "True":
            said = ("True", "InitialNamesAccepted", "the initial names have been accepted")
        else:
            said = ("False", "NotAccepted", "not all names are accepted")
        conditions = with_condition(conditions, "Established", *said, now)
    if is_protected(definition["spec"]["group"]):
        conditions = with_condition(conditions, "KubernetesAPIApprovalPolicyConformant", *approval(definition), now)
    return {**status, "conditions": conditions, "acceptedNames": names}


def _taken(definition: Object, others: Iterable[Object]) -> tuple[set[str], set[str]]:
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other["spec"]["group"] != definition["spec"]["group"]:
            continue
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources.update((names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())))
        kinds.update((names.get("kind", ""), names.get("listKind", "")))
    return resources - {""}, kinds - {""}


def _accepted(
    wanted: Object, accepted: Object, resources: set[str], kinds: set[str]
) -> tuple[Object, tuple[str, str, str] | None]:
    names = {"plural": "", "kind": "", **accepted}
    conflict: tuple[str, str, str] | None = None
    for field, taken in (("plural", resources), ("singular", resources), ("kind", kinds), ("listKind", kinds)):
        name = wanted.get(field, "")
        if name != accepted.get(field, "") and name in taken:
            conflict = ("False", f"{field[0].upper()}{field[1:]}Conflict", f'"{name}" is already in use')
        elif name:
            names[field] = name
        if field == "singular":
            conflict = _short_names(wanted, accepted, resources, names) or conflict
    if wanted.get("categories"):
        names["categories"] = wanted["categories"]
    else:
        names.pop("categories", None)
    return names, conflict


def _short_names(wanted: Object, accepted: Object, resources: set[str], names: Object) -> tuple[str, str, str] | None:
    own = set(accepted.get("shortNames") or ())
    found = wanted.get("shortNames") or []
    used = [name for name in found if name not in own and name in resources]
    if used:
        words = [f'"{name}" is already in use' for name in used]
        return "False", "ShortNamesConflict", words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    if found:
        names["shortNames"] = found
    else:
        names.pop("shortNames", None)
    return None


def approval(definition: Object) -> tuple[str, str, str]:
    """Status, reason and message of the condition that says whether the project approves."""
    value = (definition["metadata"].get("annotations") or {}).get(APPROVAL, "")
    if not value:
        words = (
            f'protected groups must have approval annotation "{APPROVAL}", see '
            "https://github.com/kubernetes/enhancements/pull/1111"
        )
        return "False", "MissingAnnotation", words
    if value.startswith("unapproved"):
        return "False", "UnapprovedAnnotation", f'not approved: "{value}"'
    if not value.startswith(("http://", "https://")):
        return "False", "InvalidAnnotation", (
            f'protected groups must have approval annotation "{APPROVAL}" with either a URL or a reason starting with '
            f'"unapproved", see https://github.com/kubernetes/enhancements/pull/1111'
        )  # fmt: skip
    return "True", "ApprovedAnnotation", f"approved in {value}"


def with_condition(
    conditions: list[Object], kind: str, status: str, reason: str, message: str, now: str
) -> list[Object]:
    """The conditions with this one; its time changes with its status only."""
    made = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for index, each in enumerate(conditions):
        if each.get("type") == kind:
            if each.get("status") == status:
                made["lastTransitionTime"] = each.get("lastTransitionTime", now)
            return [*conditions[:index], made, *conditions[index + 1 :]]
    return [*conditions, made]
