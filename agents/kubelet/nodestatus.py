"""The Node object that the kubelet writes about its own node. Pure: what the machine is comes in as `Facts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from panal import quantity
from panal.bundled import VERSION
from panal.config import NodeConfig

from .podspec import timestamp

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
RUNTIME_VERSION = "panal://0.1.0"

_HEALTHY = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)

_PRESSED = ("MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")


@dataclass(frozen=True)
class Facts:
    """What this machine is."""

    machine_id: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str
    """As Go names it: amd64, arm64."""


RUNTIME_DOWN = "container runtime is down"


def node_object(
    config: NodeConfig, facts: Facts, *, ready: bool, now: float, pressed: bool = False, why: str = RUNTIME_DOWN
) -> dict[str, Any]:
    """The whole Node as it is first created."""
    spec: dict[str, Any] = {"podCIDR": config.node.pod_cidr, "podCIDRs": [config.node.pod_cidr]}
    if config.node.control_plane and config.tainted:
        spec["taints"] = [{"key": CONTROL_PLANE, "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": config.node.name,
            "labels": labels(config, facts),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": spec,
        "status": node_status(config, facts, {}, ready=ready, pressed=pressed, now=now, why=why),
    }


def labels(config: NodeConfig, facts: Facts) -> dict[str, str]:
    found = {
        "beta.kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "kubernetes.io/hostname": config.node.name,
        "kubernetes.io/os": "linux",
    }
    if config.node.control_plane:
        found[CONTROL_PLANE] = ""
        found["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
    return found | dict(config.node.labels)


def node_status(
    config: NodeConfig,
    facts: Facts,
    old: Mapping[str, Any],
    *,
    ready: bool,
    now: float,
    pressed: bool = False,
    why: str = RUNTIME_DOWN,
) -> dict[str, Any]:
    """The status with fresh heartbeats; transition times are kept from `old` where nothing changed.

    Extended resources that somebody wrote into the node's capacity can be allocated, too.
    """
    resources = {
        **{name: amount for name, amount in (old.get("capacity") or {}).items() if _is_extended(name)},
        "cpu": quantity.format_milli(quantity.milli(config.node.cpu)),
        "ephemeral-storage": quantity.format_binary(quantity.whole(config.node.ephemeral_storage)),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": quantity.format_binary(quantity.whole(config.node.memory)),
        "pods": str(config.node.pods),
    }
    return {
        "capacity": resources,
        "allocatable": resources,
        "conditions": conditions(old.get("conditions") or (), ready=ready, pressed=pressed, now=now, why=why),
        "addresses": [
            {"type": "InternalIP", "address": config.node.address},
            {"type": "Hostname", "address": config.node.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.kubelet_port}},
        "nodeInfo": {
            "machineID": facts.machine_id,
            "systemUUID": facts.machine_id,
            "bootID": facts.boot_id,
            "kernelVersion": facts.kernel,
            "osImage": facts.os_image,
            "containerRuntimeVersion": RUNTIME_VERSION,
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
    }


def differs(status: Mapping[str, Any], fresh: Mapping[str, Any]) -> bool:
    """Whether `fresh` says more than that time has passed."""
    return _timeless(status, fresh) != _timeless(fresh, fresh)


def _timeless(status: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    found = {field: status.get(field) for field in like}
    found["conditions"] = {
        item["type"]: (item["status"], item.get("reason"), item.get("message"))
        for item in status.get("conditions") or ()
    }
    return found


def _is_extended(name: str) -> bool:
    """A resource of somebody's domain, as a device plugin's or one that an administrator made up."""
    return "/" in name and not name.partition("/")[0].endswith("kubernetes.io")


def conditions(
    old: Any, *, ready: bool, pressed: bool = False, now: float, why: str = RUNTIME_DOWN
) -> list[dict[str, Any]]:
    """The pressures, of which only memory's is felt here (`pressed`), and Ready, or `why` not.

    What others wrote stays.
    """
    verdicts = [(kind, "False", reason, message) for kind, reason, message in _HEALTHY]
    if pressed:
        verdicts[0] = _PRESSED
    if ready:
        verdicts.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    else:
        verdicts.append(("Ready", "False", "KubeletNotReady", why))
    before = {item["type"]: item for item in old}
    own = [_condition(verdict, before.get(verdict[0]), now) for verdict in verdicts]
    mine = {item["type"] for item in own}
    return [dict(item) for item in old if item["type"] not in mine] + own


def _condition(verdict: tuple[str, str, str, str], before: Mapping[str, Any] | None, now: float) -> dict[str, Any]:
    kind, status, reason, message = verdict
    stamp = timestamp(now)
    same = before is not None and before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": before["lastTransitionTime"] if before and same else stamp,
        "reason": reason,
        "message": message,
    }
