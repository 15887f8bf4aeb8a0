"""Fields of a pod that no runtime here acts on, by name, for an event on the pod. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from . import podspec
from .podspec import Pod

_POD_FLAGS = {
    "hostPID": "processes of the node are not shown",
    "hostIPC": "the pod has an ipc namespace of its own",
}
_SECURITY = {
    "seccompProfile": "no system call is filtered",
    "appArmorProfile": "no AppArmor profile is set",
    "seLinuxOptions": "no SELinux label is set",
    "procMount": "/proc is always the default one",
    "windowsOptions": "there is no Windows here",
}


def unsupported(pod: Pod) -> list[str]:
    """A sentence for each field that is set and has no effect."""
    return list(dict.fromkeys(_found(pod)))


def _found(pod: Pod) -> Iterator[str]:
    spec = pod["spec"]
    for field, why in _POD_FLAGS.items():
        if spec.get(field):
            yield f"spec.{field} has no effect: {why}"
    if spec.get("hostUsers") is False:
        yield "spec.hostUsers has no effect: an ordinary user's pods are in a user namespace, root's are not"
    if (spec.get("securityContext") or {}).get("sysctls"):
        names = ", ".join(item["name"] for item in spec["securityContext"]["sysctls"])
        yield f"spec.securityContext.sysctls has no effect: {names}"
    contexts = [(spec.get("securityContext") or {}, "spec.securityContext")]
    for container in podspec.every_container(pod):
        contexts.append((container.get("securityContext") or {}, f"securityContext of container {container['name']}"))
        if container.get("volumeDevices"):
            yield f"volumeDevices of container {container['name']} has no effect: there are no block devices"
    for context, where in contexts:
        for field, why in _SECURITY.items():
            if context.get(field) and not (field == "procMount" and context[field] == "Default"):
                yield f"{where}.{field} has no effect: {why}"
