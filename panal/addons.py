"""The cluster's own manifests: kube-proxy, cluster DNS and ingress as workloads; staticpods.py has the control plane.

Laid out as kubeadm does (names, labels, service accounts, flags), so that `kubectl get pods -n kube-system` reads as it
should. Paths of the machine are mounted at the same path inside, for the plain runtime has no mounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .bundled import image
from .config import ClusterConfig
from .paths import ClusterPaths
from .pki import node_server

Object = dict[str, Any]

_SYSTEM = "kube-system"
INGRESS_NAMESPACE = "ingress"
INGRESS_CLASS = "panal"
INGRESS_CONTROLLER = "panal.dev/ingress-controller"


def addons(config: ClusterConfig, paths: ClusterPaths) -> list[Object]:
    """What is applied through the API once it answers, in this order."""
    objects = [*lan_access(), *_kube_proxy(config, paths), *_cluster_dns(config), storage_class()]
    if config.ingress.enabled:
        objects += ingress_controller(config)
    return objects


def storage_class() -> Object:
    """The default class: folders of the node that the pod's scheduling chose."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            **_meta("local-path"),
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "panal.dev/local-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _meta(name: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Object:
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        **({"labels": dict(labels)} if labels else {}),
    }


def _service_account(name: str, namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(name, namespace)}


def _role(name: str, rules: Sequence[Mapping[str, Any]]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": _meta(name),
        "rules": [dict(rule) for rule in rules],
    }


def _binding(name: str, role: str, subject: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _meta(name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [dict(subject)],
    }


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


_READ = ("get", "list", "watch")


def lan_access() -> list[Object]:
    """What the external load balancer and the external DNS may do."""
    rules = [
        _rule("", ["nodes", "services"], _READ),
        _rule("", ["services/status"], ["update", "patch"]),
        _rule("networking.k8s.io", ["ingresses", "ingressclasses"], _READ),
        _rule("", ["events"], ["create", "patch"]),
        _rule("", ["services"], ["patch"]),
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], _READ),
        _rule("metallb.io", ["ipaddresspools", "l2advertisements"], _READ),
        _rule("metallb.io", ["ipaddresspools/status"], ["patch"]),
        _rule("route.openshift.io", ["routes"], _READ),
        _rule("externaldns.k8s.io", ["dnsendpoints"], _READ),
        _rule("externaldns.k8s.io", ["dnsendpoints/status"], ["patch"]),
    ]
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "panal:lan"}
    return [_role("panal:lan", rules), _binding("panal:lan", "panal:lan", group)]


def _deployment(
    name: str, namespace: str, labels: Mapping[str, str], pod: Mapping[str, Any], *, replicas: int = 1
) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name, namespace, labels),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(labels)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": dict(labels)}, "spec": dict(pod)},
        },
    }


def _kube_proxy(config: ClusterConfig, paths: ClusterPaths) -> list[Object]:
    labels = {"k8s-app": "kube-proxy"}
    host, _, port = node_server(config).removeprefix("https://").rpartition(":")
    container: Object = {
        "name": "kube-proxy",
        "image": image("kube-proxy"),
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "kube-proxy",
            f"--proxy-mode={config.proxy_mode}",
            f"--cluster-cidr={config.pod_cidr}",
            "--hostname-override=$(NODE_NAME)",
            "--node-ip=$(NODE_IP)",
            f"--table-socket={paths.run}/kube-proxy-$(NODE_NAME).sock",
        ],
        "env": [
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            # The way to the API that does not need kube-proxy itself.
            {"name": "KUBERNETES_SERVICE_HOST", "value": host},
            {"name": "KUBERNETES_SERVICE_PORT", "value": port},
        ],
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "run", "mountPath": str(paths.run)}],
    }
    volumes = [{"name": "run", "hostPath": {"path": str(paths.run), "type": "DirectoryOrCreate"}}]
    return [
        _service_account("kube-proxy", _SYSTEM),
        _binding(
            "kubeadm:node-proxier",
            "system:node-proxier",
            {"kind": "ServiceAccount", "name": "kube-proxy", "namespace": _SYSTEM},
        ),
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": _meta("kube-proxy", _SYSTEM, labels),
            "spec": {
                "selector": {"matchLabels": labels},
                "updateStrategy": {"type": "RollingUpdate"},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "hostNetwork": True,
                        "serviceAccountName": "kube-proxy",
                        "priorityClassName": "system-node-critical",
                        "tolerations": [{"operator": "Exists"}],
                        "nodeSelector": {"kubernetes.io/os": "linux"},
                        "containers": [container],
                        "volumes": volumes,
                    },
                },
            },
        },
    ]


def corefile(config: ClusterConfig) -> str:
    """What the cluster DNS is told, as kubeadm writes it; names of the company are asked of its own DNS."""
    company = "".join(
        f"{domain}:53 {{\n    errors\n    cache 30\n    forward . {config.external_dns.address}\n}}\n"
        for domain in config.external_dns.domains
    )
    return f"""\
.:53 {{
    errors
    health {{
       lameduck 1s
    }}
    ready
    kubernetes {config.cluster_domain} in-addr.arpa ip6.arpa {{
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :9153
    forward . /etc/resolv.conf {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success {config.cluster_domain}
       disable denial {config.cluster_domain}
    }}
    loop
    reload
    loadbalance
}}
{company}"""


def _cluster_dns(config: ClusterConfig) -> list[Object]:
    labels = {"k8s-app": "kube-dns"}
    host, _, port = node_server(config).removeprefix("https://").rpartition(":")
    container = {
        "name": "coredns",
        "image": image("cluster-dns"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["cluster-dns"],
        "args": ["-conf", "/etc/coredns/Corefile"],
        "env": [
            # Straight to the API server: DNS is up before the node's Service rules are.
            {"name": "KUBERNETES_SERVICE_HOST", "value": host},
            {"name": "KUBERNETES_SERVICE_PORT", "value": port},
        ],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}},
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"},
            "initialDelaySeconds": 60,
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        },
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}},
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "nodeSelector": {"kubernetes.io/os": "linux", "node-role.kubernetes.io/control-plane": ""},
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "containers": [container],
        "volumes": [
            {
                "name": "config-volume",
                "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]},
            }
        ],
    }
    rules = [
        _rule("", ["endpoints", "services", "pods", "namespaces"], ("list", "watch")),
        _rule("discovery.k8s.io", ["endpointslices"], ("list", "watch")),
        _rule("", ["events"], ("create", "patch")),
    ]
    subject = {"kind": "ServiceAccount", "name": "coredns", "namespace": _SYSTEM}
    own = {**_rule("", ["configmaps"], ("get",)), "resourceNames": ["coredns"]}
    return [
        _service_account("coredns", _SYSTEM),
        _role("system:coredns", rules),
        _binding("system:coredns", "system:coredns", subject),
        {**_role("coredns", [own]), "kind": "Role", "metadata": _meta("coredns", _SYSTEM)},
        {
            **_binding("coredns", "coredns", subject),
            "kind": "RoleBinding",
            "metadata": _meta("coredns", _SYSTEM),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "coredns"},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "coredns", "namespace": _SYSTEM},
            "data": {"Corefile": corefile(config)},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta(
                "kube-dns",
                _SYSTEM,
                {**labels, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
            ),
            "spec": {
                "clusterIP": config.dns_service_ip,
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                    {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
                ],
            },
        },
        _deployment("coredns", _SYSTEM, labels, pod),
    ]


def ingress_controller(config: ClusterConfig) -> list[Object]:
    """The bundled ingress controller: its class (the default one), rights, Deployment and NodePort Service."""
    labels = {"app.kubernetes.io/name": "ingress"}
    host, _, port = node_server(config).removeprefix("https://").rpartition(":")
    container = {
        "name": "controller",
        "image": image("ingress"),
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "ingress",
            f"--controller-class={INGRESS_CONTROLLER}",
            f"--ingress-class={INGRESS_CLASS}",
            f"--publish-status-address={config.load_balancer.address}",
            f"--route-domain=apps.{config.external_dns.domains[0]}",
        ],
        "env": [
            # Straight to the API server, as above.
            {"name": "KUBERNETES_SERVICE_HOST", "value": host},
            {"name": "KUBERNETES_SERVICE_PORT", "value": port},
        ],
        "ports": [{"name": "http", "containerPort": 80}, {"name": "https", "containerPort": 443}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 10254, "scheme": "HTTP"}},
        "resources": {"requests": {"cpu": "100m", "memory": "90Mi"}},
    }
    rules = [
        _rule("", ["services", "endpoints", "secrets", "configmaps", "namespaces", "nodes", "pods"], _READ),
        _rule("discovery.k8s.io", ["endpointslices"], _READ),
        _rule("networking.k8s.io", ["ingresses", "ingressclasses"], _READ),
        _rule("networking.k8s.io", ["ingresses/status"], ["update", "patch"]),
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], _READ),
        _rule("route.openshift.io", ["routes"], _READ),
        _rule("route.openshift.io", ["routes/status"], ["update", "patch"]),
        _rule("", ["events"], ["create", "patch"]),
    ]
    subject = {"kind": "ServiceAccount", "name": "ingress", "namespace": INGRESS_NAMESPACE}
    service: Object = {
        "type": "NodePort",
        "selector": labels,
        "ports": [
            {"name": "http", "port": config.ingress.port, "targetPort": "http", "nodePort": config.ingress.node_port}
        ],
    }
    if config.ingress.cluster_ip:
        service["clusterIP"] = config.ingress.cluster_ip
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": _meta(INGRESS_NAMESPACE)},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {
                **_meta(INGRESS_CLASS),
                "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
            },
            "spec": {"controller": INGRESS_CONTROLLER},
        },
        _service_account("ingress", INGRESS_NAMESPACE),
        _role("panal:ingress", rules),
        _binding("panal:ingress", "panal:ingress", subject),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta("ingress", INGRESS_NAMESPACE, labels),
            "spec": service,
        },
        _deployment("ingress", INGRESS_NAMESPACE, labels, {"serviceAccountName": "ingress", "containers": [container]}),
    ]
