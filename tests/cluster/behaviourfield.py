"""The table of Service behaviours put on a cluster, and its questions asked."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

import orjson
from behaviours import PROBE, REFUSED, TABLE, Ask, Behaviour, pods
from harness import Cluster, until

NAMESPACE = "behaviours"


class Field:
    """The cluster with the whole table applied."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        config = cluster.config()
        self.hosts = {host["name"]: host["address"] for host in (*config["nodes"], *config["hosts"])}
        services = ipaddress.ip_network(config["service_cidr"])
        lan = ipaddress.ip_network(config["lan"])
        self.words = {
            "chosen": str(services[9]),
            "menchupc": self.hosts["menchupc"],
            "nobody": str(lan[-3]),
            "foreign": str(lan[-9]),
        }
        self.services: dict[str, Any] = {}
        self.pods: dict[str, str] = {}

    def apply(self) -> None:
        cluster = self.cluster
        cluster.kubectl("create", "namespace", NAMESPACE)
        objects = [*pods(), *(self._service(row) for row in TABLE)]
        text = orjson.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).decode()
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=self.filled(text))

        def running() -> bool:
            found = cluster.get("pods", "-n", NAMESPACE)["items"]
            self.pods = {pod["metadata"]["name"]: pod["status"].get("podIP", "") for pod in found}
            conditions = {
                pod["metadata"]["name"]: {each["type"]: each["status"] for each in pod["status"]["conditions"]}
                for pod in found
            }
            return all(conditions[name]["Ready"] == "True" for name in "abt") and all(self.pods.values())

        until(running, what="pods a, b and t")
        slices = [self._slice(row) for row in TABLE if row.slices]
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=orjson.dumps(slices[0]).decode())
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", "t", "--wait=false")

        def addressed() -> bool:
            found = cluster.get("services", "-n", NAMESPACE)["items"]
            self.services = {item["metadata"]["name"]: item for item in found}
            balanced = [self.services[name] for name in ("balanced", "for-menchu", "for-others")]
            return all(item["status"]["loadBalancer"].get("ingress") for item in balanced)

        until(addressed, what="addresses of the load balancer")

    def filled(self, text: str) -> str:
        for name, value in self.words.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _service(self, row: Behaviour) -> dict[str, Any]:
        spec = {**row.spec, **({"selector": row.selector} if row.selector else {})}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": row.name}, "spec": spec}

    def _slice(self, row: Behaviour) -> dict[str, Any]:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{row.name}-1", "labels": {"kubernetes.io/service-name": row.name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self.pods["b"]]}],
            "ports": [{"port": 7101, "protocol": "TCP"}],
        }

    def question(self, row: Behaviour, ask: Ask) -> tuple[str, str, int, int]:
        """(kind, address, port, times) for the probe."""
        spec, (where, _, name) = self.services[row.name]["spec"], ask.where.partition(":")
        if where == "cluster":
            return ask.kind, spec["clusterIP"], ask.port, ask.times
        if where == "node":
            return ask.kind, self.hosts[name], spec["ports"][0]["nodePort"], ask.times
        if where == "health":
            return ask.kind, self.hosts[name], spec["healthCheckNodePort"], ask.times
        if where == "balancer":
            ingress = self.services[row.name]["status"]["loadBalancer"]["ingress"]
            return ask.kind, ingress[0]["ip"], ask.port, ask.times
        if where == "external":
            return ask.kind, spec["externalIPs"][0], ask.port, ask.times
        return ask.kind, f"{name or where}.{NAMESPACE}.svc.cluster.local", ask.port, ask.times

    def said(self, host: str, questions: list[tuple[str, str, int, int]]) -> list[list[list[str]]]:
        """What each question's repetitions were answered."""
        words = orjson.dumps(questions).decode()
        if host.startswith("pod/"):
            command = ("exec", "-n", NAMESPACE, host.removeprefix("pod/"), "--", "python3", "-c", PROBE, words)
            lines = self.cluster.kubectl(*command).splitlines()
        else:
            lines = self.cluster.exec_on(host, sys.executable, "-c", PROBE, words).splitlines()
        return [orjson.loads(line) for line in lines]

    def wrong(self, row: Behaviour) -> list[str]:
        """The row's questions that are not answered as they should be."""
        variant = self.cluster.variant
        asks = [ask for ask in row.asks if not ask.only or {variant.proxy_mode, variant.network} & {*ask.only}]
        complaints = []
        for host in dict.fromkeys(ask.host for ask in asks):
            mine = [ask for ask in asks if ask.host == host]
            for ask, said in zip(mine, self.said(host, [self.question(row, ask) for ask in mine]), strict=True):
                if not self._right(row, ask, said):
                    complaints.append(f"{ask} -> {said}")
        return complaints

    def _right(self, row: Behaviour, ask: Ask, said: list[list[str]]) -> bool:
        if ask.refused or ask.silent:
            allowed = REFUSED | ({"silent", "OSError"} if ask.silent else set())
            return {line[0] for line in said} <= allowed
        if ask.kind == "name":
            return said == [sorted(self.pods[name] for name in ask.answers)]
        if ask.where.startswith("health"):
            return " ".join(said[0][:2]) in ask.answers
        who = {line[0] for line in said}
        if row.name == "sticky":
            return len(who) == 1 and who <= ask.answers
        ports = {line[2] for line in said if len(line) == 3}
        expected = {"7101"} if row.slices or ask.port == 8081 else {"7100"}
        seen = {line[1] for line in said if len(line) == 3}
        return who == ask.answers and ports == expected and (not ask.saw or seen == {self.hosts[ask.saw]})
