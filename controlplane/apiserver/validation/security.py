"""Checks of what pods and containers may do: their security contexts."""

from __future__ import annotations

import re
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required, too_long
from .checks import Object, items, optional_choice
from .paths import descending

_LARGEST = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?", re.ASCII)
_SYSCTL_BYTES, _PROFILE_BYTES = 253, 4095
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")


def _numbers(context: Object, where: str, *keys: str) -> list[FieldError]:
    return [
        bad(f"{where}.{key}", context[key], formats.range_error(0, _LARGEST))
        for key in keys
        if context.get(key) is not None and not 0 <= context[key] <= _LARGEST
    ]


def of_pod(spec: Object, field: str) -> list[FieldError]:
    """A pod's security context."""
    context, where = spec.get("securityContext") or {}, f"{field}.securityContext"
    errors = _numbers(context, where, "fsGroup", "runAsUser", "runAsGroup")
    for group, at in items(context.get("supplementalGroups"), f"{where}.supplementalGroups"):
        if not 0 <= group <= _LARGEST:
            errors.append(bad(at, group, formats.range_error(0, _LARGEST)))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        words = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(bad(f"{where}.shareProcessNamespace", True, words))
    errors += _sysctls(context.get("sysctls"), spec, f"{where}.sysctls")
    errors += optional_choice(
        context.get("fsGroupChangePolicy"), f"{where}.fsGroupChangePolicy", ("Always", "OnRootMismatch")
    )
    errors += _profiles(context, where)
    errors += optional_choice(
        context.get("supplementalGroupsPolicy"), f"{where}.supplementalGroupsPolicy", ("Merge", "Strict")
    )
    return errors + optional_choice(
        context.get("seLinuxChangePolicy"), f"{where}.seLinuxChangePolicy", ("MountOption", "Recursive")
    )


def _sysctls(found: Any, spec: Object, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for each, at in items(found, field):
        where, name = f"{at}.name", each.get("name", "")
        if not name:
            errors.append(required(where))
        elif len(name) > _SYSCTL_BYTES or not _SYSCTL.fullmatch(name):
            words = f"must have at most {_SYSCTL_BYTES} characters and match regex ^{_SYSCTL.pattern}$"
            errors.append(bad(where, name, words))
        elif name in names:
            errors.append(duplicate(where, name))
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            errors.append(bad(where, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and dotted.startswith(_IPC_SYSCTLS):
            errors.append(bad(where, name, "may not be specified when 'hostIPC' is true"))
        names.add(name)
    return errors


def of_container(context: Object | None, where: str, *, host_users: bool) -> list[FieldError]:
    """A container's security context; `host_users` says that its users are the machine's."""
    if context is None:
        return []
    errors = _numbers(context, where, "runAsUser", "runAsGroup")
    mount = context.get("procMount")
    errors += optional_choice(mount, f"{where}.procMount", ("Default", "Unmasked"))
    if host_users and mount == "Unmasked":
        errors.append(bad(f"{where}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    errors += _seccomp(context.get("seccompProfile"), f"{where}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            words = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(bad(where, dict(context), words))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            words = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.append(bad(where, dict(context), words))
    return errors + _armor(context.get("appArmorProfile"), f"{where}.appArmorProfile")


def _profiles(context: Object, where: str) -> list[FieldError]:
    errors = _seccomp(context.get("seccompProfile"), f"{where}.seccompProfile")
    return errors + _armor(context.get("appArmorProfile"), f"{where}.appArmorProfile")


def _seccomp(profile: Object | None, where: str) -> list[FieldError]:
    if profile is None:
        return []
    kind, local, at = profile.get("type", ""), profile.get("localhostProfile"), f"{where}.localhostProfile"
    errors: list[FieldError] = []
    if not kind:
        errors.append(required(f"{where}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILES:
        errors.append(not_supported(f"{where}.type", kind, _PROFILES))
    if kind != "Localhost":
        if local is not None:
            errors.append(bad(at, dict(profile), "can only be set when seccomp type is Localhost"))
    elif local is None:
        errors.append(required(at, "must be set when seccomp type is Localhost"))
    else:
        errors += descending(local, at)
    return errors


def _armor(profile: Object | None, where: str) -> list[FieldError]:
    if profile is None:
        return []
    kind, local, at = profile.get("type", ""), profile.get("localhostProfile"), f"{where}.localhostProfile"
    if not kind:
        return [required(f"{where}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILES:
        return [not_supported(f"{where}.type", kind, _PROFILES)]
    if kind != "Localhost":
        words = "can only be set when AppArmor type is Localhost"
        return [] if local is None else [bad(at, local, words)]
    errors: list[FieldError] = []
    if local is not None and local.strip() != local:
        errors.append(bad(at, local, "must not be padded with whitespace"))
    elif not local:
        errors.append(required(at, "must be set when AppArmor type is Localhost"))
    if local and len(local.encode()) > _PROFILE_BYTES:
        errors.append(too_long(at, _PROFILE_BYTES))
    return errors


def host_users(spec: Object, field: str) -> list[FieldError]:
    """A pod with users of its own shares no other namespace with its machine."""
    if spec.get("hostUsers") is not False:
        return []
    shown = {"hostNetwork": "hostNetwork", "hostPID": "HostPID", "hostIPC": "HostIPC"}
    words = "when `pod.Spec.HostUsers` is false"
    return [forbidden(f"{field}.{name}", words) for key, name in shown.items() if spec.get(key)]


_NOT_WINDOWS = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
_LINUX_POD = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls", "runAsUser",
    "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy",
)  # fmt: skip
_LINUX_CONTAINER = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip


def operating_system(spec: Object, field: str) -> list[FieldError]:
    """A pod that names its operating system has only what that knows."""
    found = spec.get("os")
    if found is None:
        return []
    name = found.get("name", "")
    if not name:
        return [required(f"{field}.os.name", "cannot be empty")]
    if name not in ("linux", "windows"):
        return [not_supported(f"{field}.os", name, ("linux", "windows"))]
    windows = name == "windows"
    words = "cannot be set for a windows pod" if windows else "windows options cannot be set for a linux pod"
    errors = [forbidden(f"{field}.{key}", words) for key in _NOT_WINDOWS if windows and spec.get(key)]
    contexts: list[tuple[Any, str, tuple[str, ...]]] = [
        (spec.get("securityContext"), f"{field}.securityContext", _LINUX_POD)
    ]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for each, where in items(spec.get(kind), f"{field}.{kind}"):
            contexts.append((each.get("securityContext"), f"{where}.securityContext", _LINUX_CONTAINER))
    for context, where, keys in contexts:
        refused = keys if windows else ("windowsOptions",)
        errors += [forbidden(f"{where}.{key}", words) for key in refused if (context or {}).get(key) is not None]
    return errors
