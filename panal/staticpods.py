"""The control plane as static pods of the first node, laid out as kubeadm does: names, labels, flags, probes.

Paths of the machine are mounted at the same path inside, for the plain runtime has no mounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .bundled import image
from .config import ClusterConfig
from .paths import ClusterPaths

Object = dict[str, Any]

_SYSTEM = "kube-system"


def control_plane(config: ClusterConfig, paths: ClusterPaths) -> list[Object]:
    """The static pods of the first node, kube-apiserver first."""
    return [_apiserver(config, paths), _controller_manager(config, paths), _scheduler(paths)]


def _static_pod(
    name: str, command: Sequence[str], folders: Mapping[str, tuple[Path, str, bool]], **container: Any
) -> Object:
    volumes = [
        {"name": volume, "hostPath": {"path": str(path), "type": kind}} for volume, (path, kind, _) in folders.items()
    ]
    mounts = [
        {"name": volume, "mountPath": str(path), **({"readOnly": True} if readonly else {})}
        for volume, (path, _, readonly) in folders.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": _SYSTEM,
            "labels": {"component": name, "tier": "control-plane"},
        },
        "spec": {
            "hostNetwork": True,
            "priority": 2000001000,
            "priorityClassName": "system-node-critical",
            "containers": [
                {
                    "name": name,
                    "image": image(name),
                    "imagePullPolicy": "IfNotPresent",
                    "command": [name, *command],
                    "volumeMounts": mounts,
                    "env": [_own_field("POD_NAME", "metadata.name"), _own_field("POD_NAMESPACE", "metadata.namespace")],
                    **container,
                }
            ],
            "volumes": volumes,
        },
    }


def _own_field(variable: str, path: str) -> Object:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _apiserver(config: ClusterConfig, paths: ClusterPaths) -> Object:
    address, pki = config.control_plane.address, paths.pki
    first, last = config.node_ports
    edge = config.network != "machine"  # there, the address of the LAN is one of the machine's own
    probe = {"httpGet": {"host": address, "path": "/livez", "port": 6443, "scheme": "HTTPS"}, "timeoutSeconds": 15}
    return _static_pod(
        "kube-apiserver",
        [
            f"--advertise-address={address}",
            f"--bind-address={address if edge else '0.0.0.0'}",
            "--secure-port=6443",
            f"--data-dir={paths.store}",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--service-account-issuer=https://kubernetes.default.svc.{config.cluster_domain}",
            f"--service-cluster-ip-range={config.service_cidr}",
            f"--service-node-port-range={first}-{last}",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            *([f"--edge-socket={paths.edge_socket}"] if edge else []),
        ],
        {
            "store": (paths.store, "DirectoryOrCreate", False),
            "pki": (pki, "Directory", True),
            **({"edge": (paths.edge_socket, "Socket", False)} if edge else {}),
        },
        resources={"requests": {"cpu": "250m"}},
        livenessProbe={**probe, "failureThreshold": 8, "periodSeconds": 10, "initialDelaySeconds": 10},
    )


def _controller_manager(config: ClusterConfig, paths: ClusterPaths) -> Object:
    kubeconfig = paths.root / "controller-manager.conf"
    return _static_pod(
        "kube-controller-manager",
        [
            f"--kubeconfig={kubeconfig}",
            f"--root-ca-file={paths.pki}/ca.crt",
            f"--cluster-signing-cert-file={paths.pki}/ca.crt",
            f"--cluster-signing-key-file={paths.pki}/ca.key",
            f"--cluster-cidr={config.pod_cidr}",
            f"--service-cluster-ip-range={config.service_cidr}",
            f"--local-path-folder={paths.volumes}",
            *(
                []
                if config.node_monitor_grace == 40
                else [f"--node-monitor-grace-period={config.node_monitor_grace:g}s"]
            ),
            *_for_joining(config),
        ],
        {
            "kubeconfig": (kubeconfig, "File", True),
            "ca": (paths.pki / "ca.crt", "File", True),
            "ca-key": (paths.pki / "ca.key", "File", True),
            "volumes": (paths.volumes, "DirectoryOrCreate", False),
        },
        resources={"requests": {"cpu": "200m"}},
    )


def _for_joining(config: ClusterConfig) -> list[str]:
    """What the controller manager must know to give nodes on other machines their addresses."""
    length = int(config.control_plane.pod_cidr.partition("/")[2])
    found = [] if length == 24 else [f"--node-cidr-mask-size={length}"]
    if config.listen is not None and config.network == "netns":
        others = [config.load_balancer.address, config.external_dns.address, "-".join(config.load_balancer.addresses)]
        reserved = [*(host.address for host in config.hosts), *others]
        found += [f"--lan-cidr={config.lan}", f"--lan-reserved={','.join(reserved)}"]
    return found


def _scheduler(paths: ClusterPaths) -> Object:
    kubeconfig = paths.root / "scheduler.conf"
    return _static_pod(
        "kube-scheduler",
        [f"--kubeconfig={kubeconfig}"],
        {"kubeconfig": (kubeconfig, "File", True)},
        resources={"requests": {"cpu": "100m"}},
    )
