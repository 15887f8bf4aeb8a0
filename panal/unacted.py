"""Fields that are accepted, stored and shown, and on which nothing in this cluster acts: one table of data.

The API server warns of each when it is written; `panal fidelity` lists those in use. Whoever makes a field act takes
it out, in the same commit; what acts on whole resources is acting.py's. Values that ask for nothing else than what is
there anyway (defaults, `RuntimeDefault`) are not worth a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from .acting import ACTS
from .resources import all_resources

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """Why a field has no effect. `only`: the values that ask for something; empty for all but `harmless` ones."""

    why: str
    only: tuple[Any, ...] = ()
    harmless: tuple[Any, ...] = ()

    def asked(self, value: Any) -> bool:
        if self.only:
            return value in self.only
        return value not in (None, False, "", [], {}, *self.harmless)


Tree = Mapping[str, "Field | Tree"]
"""Field names, below each other; a name that ends with [] is a list, whose items are meant."""

_PROFILE: Final[Tree] = {"type": Field("no profile of the node is loaded", only=("Localhost",))}
_SECURITY: Final[Tree] = {
    "seLinuxOptions": Field("no SELinux label is set"),
    "seccompProfile": _PROFILE,
    "appArmorProfile": _PROFILE,
    "windowsOptions": Field("there is no Windows here"),
}
_CONTAINER: Final[Tree] = {
    "securityContext": {**_SECURITY, "procMount": Field("/proc is always the default one", harmless=("Default",))},
    "lifecycle": {"stopSignal": Field("containers are ended with SIGTERM")},
    "restartPolicyRules": Field("exit codes do not decide about restarts"),
    "volumeDevices": Field("there are no block devices"),
    "volumeMounts[]": {"mountPropagation": Field("mounts do not propagate", harmless=("None",))},
}
_NO_VOLUME = Field("volumes of this type are not supported: the pod will not start")
_VOLUMES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "ephemeral", "fc", "flexVolume",
    "flocker", "gcePersistentDisk", "gitRepo", "glusterfs", "image", "iscsi", "nfs", "photonPersistentDisk",
    "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip
_POD: Final[Tree] = {
    "hostPID": Field("processes of the node are not shown"),
    "hostIPC": Field("the pod has an ipc namespace of its own"),
    "hostUsers": Field("an ordinary user's pods are in a user namespace, root's are not", only=(False,)),
    "runtimeClassName": Field("a class' overhead and scheduling count, its handler does not: a node has one"),
    "resourceClaims": Field("no devices are allocated"),
    "securityContext": {
        **_SECURITY,
        "sysctls": Field("no kernel parameter is set"),
        "seLinuxChangePolicy": Field("no SELinux label is set"),
    },
    "containers[]": _CONTAINER,
    "initContainers[]": _CONTAINER,
    "volumes[]": {
        **dict.fromkeys(_VOLUMES, _NO_VOLUME),
        "emptyDir": {"medium": Field("an emptyDir is a folder on disk", only=("Memory",))},
    },
}
_TEMPLATE: Final[Tree] = {"spec": {"template": {"spec": _POD}}}

FIELDS: Final[Mapping[str, Tree]] = {
    "pods": {"spec": _POD},
    "podtemplates": {"template": {"spec": _POD}},
    "replicationcontrollers": _TEMPLATE,
    "deployments.apps": _TEMPLATE,
    "replicasets.apps": _TEMPLATE,
    "daemonsets.apps": _TEMPLATE,
    "statefulsets.apps": _TEMPLATE,
    "jobs.batch": _TEMPLATE,
    "cronjobs.batch": {"spec": {"jobTemplate": _TEMPLATE}},
    "services": {
        "spec": {
            "ipFamilyPolicy": Field(
                "addresses are IPv4 only", only=("PreferDualStack", "RequireDualStack")
            ),
            "ports[]": {"protocol": Field("SCTP is not forwarded", only=("SCTP",))},
        }
    },
    "ingresses.networking.k8s.io": {
        "spec": {
            "defaultBackend": {"resource": Field("only Services are served")},
            "rules[]": {"http": {"paths[]": {"backend": {"resource": Field("only Services are served")}}}},
        }
    },
}  # fmt: skip
"""Resource, as RBAC names it -> its fields without effect."""


def in_use(resource: str, obj: Object) -> dict[str, str]:
    """The fields of an object that have no effect, and why: `spec.template.spec.hostPID` -> a reason."""
    tree = FIELDS.get(resource)
    return dict(_found(tree, obj, "")) if tree is not None else {}


def _found(tree: Tree, obj: Object, prefix: str) -> Iterator[tuple[str, str]]:
    for name, below in tree.items():
        key = name.removesuffix("[]")
        value = obj.get(key)
        if value is None:
            continue
        path = f"{prefix}{key}"
        if isinstance(below, Field):
            if below.asked(value):
                yield path, below.why
        elif key != name:
            if isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, Mapping):
                        yield from _found(below, item, f"{path}[{index}].")
        elif isinstance(value, Mapping):
            yield from _found(below, value, f"{path}.")


def unserved(resource: str, kind: str) -> str | None:
    """A sentence about a resource that is stored only; None for one that somebody acts on."""
    if resource in ACTS or resource not in _built_in():
        return None
    return f"{kind}: it is stored and validated; nothing in this cluster acts on it"


@cache
def _built_in() -> frozenset[str]:
    return frozenset(each.group_resource for each in all_resources())


def warnings(resource: str, kind: str, obj: Object, old: Object | None) -> list[str]:
    """What the writer of an object is told: of a new one everything, else what was not there before."""
    before = in_use(resource, old) if old is not None else {}
    found = [f"{path}: nothing in this cluster acts on it: {why}" for path, why in in_use(resource, obj).items()
             if path not in before]  # fmt: skip
    told = unserved(resource, kind) if old is None else None
    return [told, *found] if told else found
