"""The restricted level: what is best practice for a pod that needs nothing special. Pure.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

from .baseline import proc_mount
from .baseline import seccomp as seccomp_baseline
from .visits import (
    Check,
    Spec,
    Violation,
    containers,
    context,
    in_windows,
    named,
    own_users,
    plural,
    quoted,
    setters,
    where,
)

_VOLUMES = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
     "secret")
)  # fmt: skip


def escalation(metadata: Spec, spec: Spec) -> Violation | None:
    names = where(spec, lambda each: context(each).get("allowPrivilegeEscalation") is not False)
    if not names:
        return None
    detail = f"{named(names)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail)


def capabilities(metadata: Spec, spec: Spec) -> Violation | None:
    keeping: list[str] = []
    adding: list[str] = []
    bad: set[str] = set()
    for each in containers(spec):
        found = context(each).get("capabilities") or {}
        if "ALL" not in (found.get("drop") or ()):
            keeping.append(each["name"])
        if more := set(found.get("add") or ()) - {"NET_BIND_SERVICE"}:
            adding.append(each["name"])
            bad |= more
    told = [f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        told.append(f"{named(adding)} must not include {quoted(sorted(bad))} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(told)) if told else None


def volumes(metadata: Spec, spec: Spec) -> Violation | None:
    names: list[str] = []
    bad: set[str] = set()
    for each in spec.get("volumes") or ():
        kinds = [key for key in each if key != "name" and each[key] is not None]
        if not set(kinds) & _VOLUMES:
            names.append(each["name"])
            bad.update(kinds[:1] or ["unknown"])
    if not names:
        return None
    uses = "uses" if len(names) == 1 else "use"
    detail = f"{named(names, 'volume')} {uses} restricted volume {plural('type', len(bad))} {quoted(sorted(bad))}"
    return Violation("restricted volume types", detail)


def non_root(metadata: Spec, spec: Spec) -> Violation | None:
    wish = context(spec).get("runAsNonRoot")
    refusing = where(spec, lambda each: context(each).get("runAsNonRoot") is False)
    if wish is False or refusing:
        detail = f"{setters(wish is False, refusing)} must not set securityContext.runAsNonRoot=false"
        return Violation("runAsNonRoot != true", detail)
    silent = where(spec, lambda each: context(each).get("runAsNonRoot") is None and not wish)
    if not silent:
        return None
    return Violation("runAsNonRoot != true", f"pod or {named(silent)} must set securityContext.runAsNonRoot=true")


def user(metadata: Spec, spec: Spec) -> Violation | None:
    pod = context(spec).get("runAsUser") == 0
    names = where(spec, lambda each: context(each).get("runAsUser") == 0)
    return Violation("runAsUser=0", f"{setters(pod, names)} must not set runAsUser=0") if pod or names else None


def seccomp(metadata: Spec, spec: Spec) -> Violation | None:
    if (found := seccomp_baseline(metadata, spec)) is not None:
        return found
    if context(spec).get("seccompProfile") is not None:
        return None
    silent = where(spec, lambda each: context(each).get("seccompProfile") is None)
    if not silent:
        return None
    words = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"pod or {named(silent)} {words}")


def _not_in_windows(check: Check) -> Check:
    return lambda metadata, spec: None if in_windows(spec) else check(metadata, spec)


def _not_with_own_users(check: Check) -> Check:
    return lambda metadata, spec: None if own_users(spec) else check(metadata, spec)


CHECKS: tuple[tuple[str, tuple[tuple[int, Check], ...]], ...] = (
    ("allowPrivilegeEscalation", ((8, escalation), (25, _not_in_windows(escalation)))),
    ("capabilities_restricted", ((22, capabilities), (25, _not_in_windows(capabilities)))),
    ("procMount_restricted", ((35, proc_mount),)),
    ("restrictedVolumes", ((0, volumes),)),
    ("runAsNonRoot", ((0, non_root), (35, _not_with_own_users(non_root)))),
    ("runAsUser", ((23, user), (35, _not_with_own_users(user)))),
    ("seccompProfile_restricted", ((19, seccomp), (25, _not_in_windows(seccomp)))),
)
REPLACES = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
"""Checks that say what one of the baseline says, and more."""
