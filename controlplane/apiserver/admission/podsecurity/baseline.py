"""The baseline level: nothing that is known to give a pod rights over its node. Pure.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...fielderrors import go_quote
from .visits import Check, Spec, Violation, containers, context, named, own_users, plural, quoted, setters, where

_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip
_SELINUX = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SYSCTLS = frozenset(
    ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
     "net.ipv4.ip_unprivileged_port_start")
)  # fmt: skip
_SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {
    f"net.ipv4.tcp_{name}" for name in ("keepalive_time", "fin_timeout", "keepalive_intvl", "keepalive_probes")
}
_SYSCTLS_32 = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SECCOMP = ("RuntimeDefault", "Localhost")


def app_armor(metadata: Spec, spec: Spec) -> Violation | None:
    def confined(owner: Spec) -> bool:
        return (context(owner).get("appArmorProfile") or {}).get("type") != "Unconfined"

    names = where(spec, lambda each: not confined(each))
    told: list[str] = []
    if (pod := not confined(spec)) or names:
        told.append(f'{setters(pod, names)} must not set AppArmor profile type to "Unconfined"')
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    bad = sorted(key for key, value in annotations.items() if key.startswith(_APPARMOR) and not _profile(value))
    told += [f"{key}={go_quote(annotations[key])}" for key in bad]
    return Violation(plural("forbidden AppArmor profile", len(told)), ", ".join(told)) if told else None


def _profile(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def capabilities(metadata: Spec, spec: Spec) -> Violation | None:
    bad: set[str] = set()
    names: list[str] = []
    for each in containers(spec):
        more = set((context(each).get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if more:
            names.append(each["name"])
            bad |= more
    if not names:
        return None
    detail = f"{named(names)} must not include {quoted(sorted(bad))} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def host_namespaces(metadata: Spec, spec: Spec) -> Violation | None:
    found = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return Violation("host namespaces", ", ".join(found)) if found else None


def host_paths(metadata: Spec, spec: Spec) -> Violation | None:
    names = [each["name"] for each in spec.get("volumes") or () if each.get("hostPath") is not None]
    return Violation("hostPath volumes", named(names, "volume")) if names else None


def host_ports(metadata: Spec, spec: Spec) -> Violation | None:
    names: list[str] = []
    ports: set[int] = set()
    for each in containers(spec):
        if used := {port["hostPort"] for port in each.get("ports") or () if port.get("hostPort")}:
            names.append(each["name"])
            ports |= used
    if not names:
        return None
    shown = ", ".join(sorted(str(port) for port in ports))
    uses = "uses" if len(names) == 1 else "use"
    return Violation("hostPort", f"{named(names)} {uses} {plural('hostPort', len(ports))} {shown}")


def probe_hosts(metadata: Spec, spec: Spec) -> Violation | None:
    names: set[str] = set()
    hosts: set[str] = set()
    for each in containers(spec):
        if used := set(_hosts(each)):
            names.add(each["name"])
            hosts |= used
    if not names:
        return None
    uses = "uses" if len(names) == 1 else "use"
    what = plural("probe or lifecycle host", len(hosts))
    return Violation("probe or lifecycle host", f"{named(sorted(names))} {uses} {what} {quoted(sorted(hosts))}")


def _hosts(container: Spec) -> Iterator[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(key) for key in ("livenessProbe", "readinessProbe", "startupProbe")]
    for handler in [*handlers, lifecycle.get("postStart"), lifecycle.get("preStop")]:
        for key in ("httpGet", "tcpSocket"):
            if host := ((handler or {}).get(key) or {}).get("host"):
                yield host


def privileged(metadata: Spec, spec: Spec) -> Violation | None:
    names = where(spec, lambda each: bool(context(each).get("privileged")))
    return Violation("privileged", f"{named(names)} must not set securityContext.privileged=true") if names else None


def proc_mount(metadata: Spec, spec: Spec) -> Violation | None:
    bad = {str(context(each).get("procMount") or "Default") for each in containers(spec)} - {"Default"}
    names = where(spec, lambda each: context(each).get("procMount") in bad)
    if not names:
        return None
    return Violation("procMount", f"{named(names)} must not set securityContext.procMount to {quoted(sorted(bad))}")


def proc_mount_relaxed(metadata: Spec, spec: Spec) -> Violation | None:
    return None if own_users(spec) else proc_mount(metadata, spec)


def se_linux(types: frozenset[str]) -> Check:
    def check(metadata: Spec, spec: Spec) -> Violation | None:
        bad: set[str] = set()
        set_: set[str] = set()

        def wrong(owner: Spec) -> bool:
            found = context(owner).get("seLinuxOptions") or {}
            kind = found.get("type") or ""
            more = {key for key in ("user", "role") if found.get(key)}
            set_.update(more)
            if kind not in types:
                bad.add(kind)
            return kind not in types or bool(more)

        pod, names = wrong(spec), where(spec, wrong)
        if not pod and not names:
            return None
        told = [f"{plural('type', len(bad))} {quoted(sorted(bad))}"] if bad else []
        told += [f"{key} may not be set" for key in ("user", "role") if key in set_]
        words = f"{setters(pod, names)} set forbidden securityContext.seLinuxOptions: {'; '.join(told)}"
        return Violation("seLinuxOptions", words)

    return check


def seccomp(metadata: Spec, spec: Spec) -> Violation | None:
    bad: set[str] = set()

    def wrong(owner: Spec) -> bool:
        profile = context(owner).get("seccompProfile")
        if profile is None or profile.get("type") in _SECCOMP:
            return False
        bad.add(profile.get("type", ""))
        return True

    pod, names = wrong(spec), where(spec, wrong)
    if not pod and not names:
        return None
    detail = f"{setters(pod, names)} must not set securityContext.seccompProfile.type to {quoted(sorted(bad))}"
    return Violation("seccompProfile", detail)


def sysctls(allowed: frozenset[str]) -> Check:
    def check(metadata: Spec, spec: Spec) -> Violation | None:
        bad = [each["name"] for each in context(spec).get("sysctls") or () if each["name"] not in allowed]
        return Violation("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def host_process(metadata: Spec, spec: Spec) -> Violation | None:
    def wrong(owner: Spec) -> bool:
        return bool((context(owner).get("windowsOptions") or {}).get("hostProcess"))

    pod, names = wrong(spec), where(spec, wrong)
    if not pod and not names:
        return None
    words = f"{setters(pod, names)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", words)


CHECKS: tuple[tuple[str, tuple[tuple[int, Check], ...]], ...] = (
    ("appArmorProfile", ((0, app_armor),)),
    ("capabilities_baseline", ((0, capabilities),)),
    ("hostNamespaces", ((0, host_namespaces),)),
    ("hostPathVolumes", ((0, host_paths),)),
    ("hostPorts", ((0, host_ports),)),
    ("hostProbesAndHostLifecycle", ((34, probe_hosts),)),
    ("privileged", ((0, privileged),)),
    ("procMount", ((0, proc_mount), (35, proc_mount_relaxed))),
    ("seLinuxOptions", ((0, se_linux(_SELINUX)), (31, se_linux(_SELINUX | {"container_engine_t"})))),
    ("seccompProfile_baseline", ((19, seccomp),)),
    ("sysctls", ((0, sysctls(_SYSCTLS)), (27, sysctls(_SYSCTLS_27)), (29, sysctls(_SYSCTLS_29)),
                 (32, sysctls(_SYSCTLS_32)))),
    ("windowsHostProcess", ((0, host_process),)),
)  # fmt: skip
"""The checks in the order in which they are told, each with the minor versions since which it is as it is."""
