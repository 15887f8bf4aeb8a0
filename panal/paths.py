"""Where everything lies on disk: all of it under `$PANAL_HOME`, one folder a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def panal_home(environ: Mapping[str, str]) -> Path:
    """`$PANAL_HOME`, else `panal` in the XDG state directory (XDG Base Directory Specification)."""
    if home := environ.get("PANAL_HOME"):
        return Path(home).absolute()
    state = environ.get("XDG_STATE_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".local", "state"
    )
    return Path(state) / "panal"


@dataclass(frozen=True)
class NodePaths:
    """The folder of one node."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "node.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def manifests(self) -> Path:
        """Static pods: one JSON or YAML file a pod; the kubelet watches the folder."""
        return self.root / "manifests"

    @property
    def runtime_socket(self) -> Path:
        return self.root / "runtime.sock"

    @property
    def runtime(self) -> Path:
        """The runtime's own state: sandboxes, containers, writable layers."""
        return self.root / "runtime"

    @property
    def pods(self) -> Path:
        """The kubelet's state: pods/UID/volumes/... and pods/UID/termination-log.CONTAINER.ATTEMPT."""
        return self.root / "pods"

    @property
    def pod_logs(self) -> Path:
        """pod_logs/NAMESPACE_NAME_UID/CONTAINER/RESTARTS.log, in the CRI's log format."""
        return self.root / "log"

    @property
    def proxy_socket(self) -> Path:
        """Where the node's kube-proxy shows its table to `panal rules`; its pod mounts the folder."""
        return self.root.parent.parent / "run" / f"kube-proxy-{self.root.name}.sock"


@dataclass(frozen=True)
class ClusterPaths:
    """The folder of one cluster, mode 0700; keys inside are 0600."""

    root: Path

    @classmethod
    def of(cls, home: Path, name: str) -> ClusterPaths:
        return cls(home / "clusters" / name)

    @property
    def config(self) -> Path:
        return self.root / "cluster.json"

    @property
    def pki(self) -> Path:
        """As kubeadm lays it out: ca.crt, ca.key, apiserver.crt, sa.key, sa.pub, ..."""
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, through the machine's 127.0.0.1."""
        return self.root / "admin.conf"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def logs(self) -> Path:
        """logs/COMPONENT.log of what is not a pod: steward, kubelet-NODE, runtime-NODE, runtime-workers, lb, dns."""
        return self.root / "logs"

    @property
    def steward_socket(self) -> Path:
        return self.root / "steward.sock"

    @property
    def edge_socket(self) -> Path:
        """Hands out the listening sockets made outside the cluster's network, by SCM_RIGHTS."""
        return self.root / "edge.sock"

    @property
    def balancer_socket(self) -> Path:
        """Where the load balancer tells `panal trace` of its connections."""
        return self.root / "lb.sock"

    @property
    def run(self) -> Path:
        """Sockets that pods of Panal's own serve to the command."""
        return self.root / "run"

    @property
    def volumes(self) -> Path:
        """The data of provisioned PersistentVolumes, a folder pvc-UID each."""
        return self.root / "volumes"

    @property
    def membership(self) -> Path:
        """What a machine that has joined needs to be the same node again: outlives the folder, until `panal down`."""
        return self.root.parent.parent / "members" / f"{self.root.name}.json"

    @property
    def namespaces(self) -> Path:
        """Bind mounts of network namespaces, one a host, in the cluster's own mount namespace."""
        return self.root / "netns"

    def node(self, name: str) -> NodePaths:
        return NodePaths(self.root / "nodes" / name)
