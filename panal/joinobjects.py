"""The objects that let machines join, made by the first `panal token create`: rights, and what a machine must know.

The rights are kubeadm's by name and content; `panal-config` stands where kubeadm has `kubeadm-config`.
"""

from __future__ import annotations

from typing import Any

import orjson

from .bootstraptoken import CLUSTER_INFO, JOINERS, PUBLIC, SYSTEM
from .config import ClusterConfig
from .paths import ClusterPaths
from .pki import node_server

Object = dict[str, Any]

CONFIG = "panal-config"
FORMAT = 1
"""Raised when what stands in `panal-config`, or what agents say to each other, changes in a way older ones miss."""

_RBAC = "rbac.authorization.k8s.io"
_CSR = "system:certificates.k8s.io:certificatesigningrequests"


def _named(kind: str, name: str, namespace: str | None = None) -> Object:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": {"name": name, **where}}


def _binding(name: str, role: str, *subjects: tuple[str, str], namespace: str | None = None) -> Object:
    kind = "Role" if namespace else "ClusterRole"
    return {
        **_named(f"{kind}Binding", name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": sort, "name": who} for sort, who in subjects],
    }


def _role(name: str, rules: list[Object], namespace: str | None = None) -> Object:
    return {**_named("Role" if namespace else "ClusterRole", name, namespace), "rules": rules}


def rights() -> list[Object]:
    """Who shows a token may ask for a node's certificate, and gets it; nodes may renew theirs."""
    joiners, nodes = ("Group", JOINERS), ("Group", "system:nodes")
    one = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    serving = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests/selfnodeserver"],
        "verbs": ["create"],
    }
    approve = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["signers"],
        "resourceNames": ["kubernetes.io/kubelet-serving"],
        "verbs": ["approve"],
    }
    return [
        _role("kubeadm:get-nodes", [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]),
        _binding("kubeadm:get-nodes", "kubeadm:get-nodes", joiners),
        _binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", joiners),
        _binding("kubeadm:node-autoapprove-bootstrap", f"{_CSR}:nodeclient", joiners),
        _binding("kubeadm:node-autoapprove-certificate-rotation", f"{_CSR}:selfnodeclient", nodes),
        _role("kubeadm:bootstrap-signer-clusterinfo", [{**one, "resourceNames": [CLUSTER_INFO]}], PUBLIC),
        _binding(
            "kubeadm:bootstrap-signer-clusterinfo",
            "kubeadm:bootstrap-signer-clusterinfo",
            ("User", "system:anonymous"),
            namespace=PUBLIC,
        ),
        _role("panal:nodes-config", [{**one, "resourceNames": [CONFIG]}], SYSTEM),
        _binding("panal:nodes-config", "panal:nodes-config", joiners, nodes, namespace=SYSTEM),
        _role("panal:selfnodeserver", [serving]),
        _binding("panal:selfnodeserver", "panal:selfnodeserver", nodes),
        _role("panal:kubelet-serving-approver", [approve]),
        _binding(
            "panal:kubelet-serving-approver",
            "panal:kubelet-serving-approver",
            ("User", "system:kube-controller-manager"),
        ),
    ]


LAN_GROUP = "panal:lan"
"""Of the load balancer and the DNS server: what it may do is in panal/addons.py."""
LAN_JOINERS = "system:bootstrappers:panal:lan-token"


def lan_rights() -> list[Object]:
    """Who shows a token of LAN_JOINERS may ask for the certificate of one of the LAN's own hosts, and gets it."""
    client = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests/lanclient"],
        "verbs": ["create"],
    }
    approve = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["signers"],
        "resourceNames": ["kubernetes.io/kube-apiserver-client"],
        "verbs": ["approve"],
    }
    joiners, manager = ("Group", LAN_JOINERS), ("User", "system:kube-controller-manager")
    return [
        _binding("panal:lan-bootstrap", "system:node-bootstrapper", joiners),
        _role("panal:lanclient", [client]),
        _binding("panal:lanclient", "panal:lanclient", joiners),
        _role("panal:lanclient-approver", [approve]),
        _binding("panal:lanclient-approver", "panal:lanclient-approver", manager),
    ]


def configuration(config: ClusterConfig, paths: ClusterPaths, version: str) -> Object:
    """What a machine must know to make a node of this cluster."""
    facts = {
        "format": FORMAT,
        "version": version,
        "cluster": config.name,
        "network": config.network,
        "proxyMode": config.proxy_mode,
        "server": node_server(config),
        "home": str(paths.root),
        "lan": config.lan,
        "podCIDR": config.pod_cidr,
        "serviceCIDR": config.service_cidr,
        "clusterDNS": config.dns_service_ip,
        "clusterDomain": config.cluster_domain,
        "resolver": config.external_dns.address if config.network == "netns" else None,
        "center": config.control_plane.name,
        "relayPort": config.listen.relay_port if config.listen else 0,
        "vxlan": config.listen.vxlan if config.listen else False,
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG, "namespace": SYSTEM},
        "data": {"cluster.json": orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode()},
    }
