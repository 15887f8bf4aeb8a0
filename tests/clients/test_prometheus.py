"""Prometheus' own program discovers a cluster's targets in every role, follows their changes, and scrapes real ones."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import yaml

from ..cluster import harness
from .programs import everything, program

pytestmark = [everything, pytest.mark.cluster]

NODE, PORT = "nodoa", 19090
"""It runs on a node, from which pods can be reached. Nobody else uses the port in the cluster's network."""

RULES = [
    {"apiGroups": [""], "resources": ["nodes", "pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["get", "list", "watch"]},
    {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
]
"""Those of Prometheus' own documentation."""

EXPORTER = """
import http.server
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"# TYPE shop_orders_total counter\\nshop_orders_total{kind=\\"book\\"} 7\\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8000), Metrics).serve_forever()
"""


def objects(namespace: str) -> list[dict[str, Any]]:
    """An exporter with its Service and Ingress, and who Prometheus is."""
    labels = {"app": "shop"}
    container = {
        "name": "main", "image": "python", "command": ["python3", "-c", EXPORTER],
        "ports": [{"name": "metrics", "containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }  # fmt: skip
    template = {
        "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    port = {"name": "web", "port": 80, "targetPort": 8000}
    backend = {"service": {"name": "shop", "port": {"number": 80}}}
    path = {"path": "/buy", "pathType": "Prefix", "backend": backend}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "prometheus"}
    subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": namespace}

    def one(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}

    rbac = "rbac.authorization.k8s.io/v1"
    return [
        one("v1", "Namespace", namespace),
        one("v1", "ServiceAccount", "prometheus"),
        one(rbac, "ClusterRole", "prometheus", rules=RULES),
        one(rbac, "ClusterRoleBinding", "prometheus", roleRef=role, subjects=[subject]),
        one("apps/v1", "Deployment", "shop",
            spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template}),
        one("v1", "Service", "shop", spec={"selector": labels, "ports": [port]}),
        one("networking.k8s.io/v1", "Ingress", "shop",
            spec={"rules": [{"host": "shop.example.com", "http": {"paths": [path]}}]}),
    ]  # fmt: skip


def configuration(api: str, namespace: str) -> dict[str, Any]:
    """A job a role; the API server and the annotated pods are scraped."""
    access = {"tls_config": {"ca_file": "ca.crt"}, "authorization": {"credentials_file": "token"}}

    def job(name: str, role: str, relabel: list[dict[str, Any]], own: bool = True, **rest: Any) -> dict[str, Any]:
        discovery = {"role": role, "api_server": api, **access}
        if own:
            discovery["namespaces"] = {"names": [namespace]}
        return {"job_name": name, "kubernetes_sd_configs": [discovery], "relabel_configs": relabel, **rest}

    def keep(label: str, value: str) -> dict[str, Any]:
        return {"source_labels": [f"__meta_kubernetes_{label}"], "regex": value, "action": "keep"}

    name = {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            job("apiserver", "endpointslice", [keep("service_name", "kubernetes")], False, scheme="https", **access),
            job("pods", "pod", [keep("pod_annotation_prometheus_io_scrape", "true"), name]),
            job("endpoints", "endpointslice", [keep("service_name", "shop"), name]),
            job("services", "service", [keep("service_name", "shop")]),
            job("ingresses", "ingress", []),
            job("nodes", "node", [], False),
        ],
    }


class Prometheus:
    """The running program's HTTP API."""

    def __init__(self, cluster: harness.Cluster) -> None:
        self._cluster = cluster

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{PORT}/api/v1/{path}?{urlencode(query)}"
        script = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"
        answer = orjson.loads(self._cluster.exec_on(NODE, sys.executable, "-c", script))
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, query: str) -> dict[str, float]:
        """A query's results by the target's instance or pod."""
        found = self.ask("query", query=query)["result"]
        return {
            each["metric"].get("pod", each["metric"].get("instance", "")): float(each["value"][1]) for each in found
        }

    def discovered(self, job: str) -> list[dict[str, str]]:
        """The labels of a job's targets before relabelling."""
        return [each["discoveredLabels"] for each in self.ask("targets", state="active")["activeTargets"]
                if each["scrapePool"] == job]  # fmt: skip


@pytest.fixture
def prometheus(cluster: harness.Cluster, tmp_path: Path) -> Iterator[Prometheus]:
    namespace, executable = "observed", program("prometheus")
    cluster.apply(yaml.safe_dump_all(objects(namespace)))
    cluster.kubectl("rollout", "status", "deployment/shop", "-n", namespace, "--timeout=60s")
    found = cluster.get("endpointslices", "kubernetes", "-n", "default")
    api = f"https://{found['endpoints'][0]['addresses'][0]}:{found['ports'][0]['port']}"
    (tmp_path / "token").write_text(cluster.kubectl("create", "token", "prometheus", "-n", namespace).strip())
    roots = cluster.get("configmap", "kube-root-ca.crt", "-n", namespace)
    (tmp_path / "ca.crt").write_text(roots["data"]["ca.crt"])
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration(api, namespace)))
    words = cluster.user.command([
        sys.executable, "-m", "panal.command", "shell", "--name", cluster.name, NODE, "--", executable,
        f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{PORT}",
    ])  # fmt: skip
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(words, env=cluster.user.env(), cwd=harness.ROOT, stdout=log, stderr=log)
    made = Prometheus(cluster)
    try:
        harness.until(lambda: made.ask("status/runtimeinfo"), seconds=30, what=(tmp_path / "log").read_text())
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    log_text = (tmp_path / "log").read_text()
    assert "level=ERROR" not in log_text, log_text


def test_targets_of_every_role_are_found_scraped_and_followed(prometheus: Prometheus, cluster: harness.Cluster) -> None:
    (api,) = harness.until(
        lambda: prometheus.value('up{job="apiserver"} == 1'), what="the API server is scraped"
    ).keys()
    assert api.endswith(":6443")
    assert prometheus.value("sum(apiserver_request_total)")[""] > 10
    assert harness.until(lambda: prometheus.value('shop_orders_total{job="pods"}')).popitem()[1] == 7
    pods = harness.until(lambda: prometheus.value('up{job="endpoints"} == 1'))
    (target,) = prometheus.discovered("endpoints")
    assert target["__meta_kubernetes_endpointslice_endpoint_conditions_ready"] == "true"
    assert target["__meta_kubernetes_pod_controller_kind"] == "ReplicaSet"
    assert target["__meta_kubernetes_pod_ready"] == "true"
    (service,) = prometheus.discovered("services")
    assert (service["__meta_kubernetes_service_type"], service["__meta_kubernetes_service_port_name"]) == (
        "ClusterIP",
        "web",
    )
    (ingress,) = prometheus.discovered("ingresses")
    assert (ingress["__meta_kubernetes_ingress_host"], ingress["__meta_kubernetes_ingress_path"]) == (
        "shop.example.com",
        "/buy",
    )
    nodes = {each["__meta_kubernetes_node_name"]: each["__address__"] for each in prometheus.discovered("nodes")}
    assert sorted(nodes) == sorted(each["metadata"]["name"] for each in cluster.get("nodes")["items"])
    assert nodes["nodoa"] == "192.168.0.101:10250"
    cluster.kubectl("scale", "deployment/shop", "--replicas=3", "-n", "observed")
    harness.until(lambda: len(prometheus.value('up{job="pods"} == 1')) == 3, seconds=30, what="three pods are scraped")
    cluster.kubectl("scale", "deployment/shop", "--replicas=1", "-n", "observed")
    harness.until(lambda: len(prometheus.discovered("endpoints")) == 1, seconds=30, what="one endpoint is left")
    assert len(pods) == 1
