"""Services from everywhere: by name, by address, from pods, nodes and the LAN; TCP and UDP."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import orjson
import pytest
from behaviourfield import NAMESPACE, Field
from behaviours import REFUSALS, TABLE, Behaviour
from harness import Cluster, until

SERVERS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: echo}
data:
  echo.py: |
    import os, socketserver, sys, threading
    me = os.environ["POD_NAME"].encode()
    class Tcp(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline(1024):
                self.wfile.write(me + b" " + line)
    class Udp(socketserver.BaseRequestHandler):
        def handle(self):
            self.request[1].sendto(me + b" " + self.request[0], self.client_address)
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    address = (os.environ["POD_IP"], 7000)
    threading.Thread(target=socketserver.ThreadingUDPServer(address, Udp).serve_forever, daemon=True).start()
    socketserver.ThreadingTCPServer(address, Tcp).serve_forever()
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 3
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: echo
        image: python
        command: [python3, /app/echo.py]
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        startupProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}
        readinessProbe:
          exec: {command: [sh, -c, "test ! -e $PANAL_ROOT/state/closed"]}
          periodSeconds: 1
          failureThreshold: 1
        volumeMounts: [{name: app, mountPath: /app}, {name: state, mountPath: /state}]
      volumes: [{name: app, configMap: {name: echo}}, {name: state, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: LoadBalancer
  selector: {app: echo}
  ports:
  - {name: tcp, port: 7001, targetPort: 7000, protocol: TCP}
  - {name: udp, port: 7001, targetPort: 7000, protocol: UDP}
---
apiVersion: v1
kind: Service
metadata: {name: heads}
spec:
  clusterIP: None
  selector: {app: echo}
  ports: [{name: tcp, port: 7000}]
"""

ASK_TCP = """
import socket, sys
for _ in range(int(sys.argv[3])):
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as c:
        c.sendall(b"hola\\n"); print(c.makefile().readline().strip())
"""
ASK_UDP = """
import socket, sys
for _ in range(int(sys.argv[3])):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(5); s.sendto(b"hola", (sys.argv[1], int(sys.argv[2]))); print(s.recv(100).decode())
"""


@pytest.fixture(scope="module")
def echo(cluster: Cluster) -> Cluster:
    cluster.apply(SERVERS)
    cluster.kubectl("rollout", "status", "deployment/echo", "--timeout=60s")
    until(lambda: len(cluster.get("endpoints", "echo")["subsets"][0]["addresses"]) == 3)
    return cluster


def answers(cluster: Cluster, host: str, program: str, address: str, port: int, count: int = 9) -> set[str]:
    """Which pods answered."""
    lines = cluster.exec_on(host, sys.executable, "-c", program, address, str(port), str(count)).split()
    assert lines[1::2] == ["hola"] * count
    return set(lines[::2])


@pytest.mark.parametrize("program", [ASK_TCP, ASK_UDP], ids=["tcp", "udp"])
def test_the_cluster_ip_reaches_every_pod_from_every_node(echo: Cluster, program: str) -> None:
    address = echo.get("service", "echo")["spec"]["clusterIP"]
    for node in ("nodo1", "nodoa", "nodoc"):
        assert len(until(lambda node=node: answers(echo, node, program, address, 7001))) == 3


@pytest.mark.parametrize("name", ["tcp", "udp"])
def test_the_nodeport_reaches_every_pod_from_outside_through_every_node(echo: Cluster, name: str) -> None:
    ports = {port["name"]: port["nodePort"] for port in echo.get("service", "echo")["spec"]["ports"]}
    program = ASK_TCP if name == "tcp" else ASK_UDP
    for node in echo.config()["nodes"]:
        assert len(answers(echo, "menchupc", program, node["address"], ports[name])) == 3


def test_the_load_balancer_gives_the_service_an_address_that_answers(echo: Cluster) -> None:
    ingress = until(lambda: echo.get("service", "echo")["status"]["loadBalancer"]["ingress"])
    assert len(until(lambda: answers(echo, "menchupc", ASK_TCP, ingress[0]["ip"], 7001))) == 3


def test_a_pod_finds_services_by_name(echo: Cluster) -> None:
    echo.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: asker}
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: python
            command:
            - python3
            - -c
            - |
              import socket
              for name in ("echo", "echo.default", "echo.default.svc.cluster.local", "kubernetes.default"):
                  print(name, socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
              heads = socket.getaddrinfo("heads", 80, socket.AF_INET, socket.SOCK_STREAM)
              print("heads", len({item[4][0] for item in heads}))
              try:
                  socket.getaddrinfo("nobody.default", 80, socket.AF_INET)
              except socket.gaierror as error:
                  print("nobody", error.errno == socket.EAI_NONAME)
              with socket.create_connection(("echo", 7001), timeout=5) as c:
                  c.sendall(b"hola\\n"); print("answer", c.makefile().readline().split()[1])
        """
    )
    until(lambda: echo.get("pod", "asker")["status"]["phase"] in ("Succeeded", "Failed"), what="the asker's end")
    log = echo.kubectl("logs", "asker")
    lines = dict(line.split(" ", 1) for line in log.splitlines() if " " in line)
    address = echo.get("service", "echo")["spec"]["clusterIP"]
    assert lines["echo"] == lines["echo.default"] == lines["echo.default.svc.cluster.local"] == address, log
    assert lines["kubernetes.default"] == echo.get("service", "kubernetes")["spec"]["clusterIP"]
    assert lines["heads"] == "3"
    assert lines["nobody"] == "True"
    assert lines["answer"] == "hola"
    echo.kubectl("delete", "pod", "asker", "--timeout=20s")


def test_a_pod_that_is_not_ready_gets_no_connections(echo: Cluster) -> None:
    address = echo.get("service", "echo")["spec"]["clusterIP"]
    pod = echo.get("pods", "-l", "app=echo")["items"][0]["metadata"]["name"]

    def asked() -> set[str]:
        return answers(echo, "nodoa", ASK_TCP, address, 7001)

    echo.kubectl("exec", pod, "--", "sh", "-c", "touch $PANAL_ROOT/state/closed")
    until(lambda: len(others := asked()) == 2 and pod not in others, what="the two others")
    slices = echo.get("endpointslices", "-l", "kubernetes.io/service-name=echo")["items"]
    ready = {end["targetRef"]["name"]: end["conditions"]["ready"] for each in slices for end in each["endpoints"]}
    assert len(ready) == 3
    assert [name for name, is_ready in ready.items() if not is_ready] == [pod]
    echo.kubectl("exec", pod, "--", "sh", "-c", "rm $PANAL_ROOT/state/closed")
    until(lambda: len(asked()) == 3, what="all three again")


def test_a_service_follows_the_number_of_its_pods(echo: Cluster) -> None:
    echo.kubectl("scale", "deployment", "echo", "--replicas=1")
    address = echo.get("service", "echo")["spec"]["clusterIP"]
    until(lambda: len(answers(echo, "nodoa", ASK_TCP, address, 7001)) == 1, what="one pod left")
    echo.kubectl("scale", "deployment", "echo", "--replicas=3")
    until(lambda: len(answers(echo, "nodoa", ASK_TCP, address, 7001)) == 3, what="three pods again")


def test_a_service_without_endpoints_refuses_at_once(echo: Cluster) -> None:
    echo.kubectl("create", "service", "clusterip", "empty", "--tcp=7002:7002")
    address = echo.get("service", "empty")["spec"]["clusterIP"]

    def refused() -> bool:
        answer = echo.exec_on("nodoa", sys.executable, "-c", ASK_TCP, address, "7002", "1", check=False)
        return "ConnectionRefusedError" in answer or "ConnectionResetError" in answer

    until(refused, what="a refused connection")
    echo.kubectl("delete", "service", "empty")


@pytest.fixture(scope="module")
def rows(cluster: Cluster) -> Iterator[Field]:
    """The whole table of behaviours, applied once."""
    found = Field(cluster)
    found.apply()
    yield found
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", "t", "--grace-period=0", "--force", "--wait=false")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_service_behaves_as_its_spec_says(rows: Field, row: Behaviour) -> None:
    def right() -> bool:
        assert not (wrong := rows.wrong(row)), "\n".join(wrong)
        return True

    until(right, seconds=15, what=row.name)


def test_a_service_of_another_class_is_left_to_its_own_load_balancer(rows: Field) -> None:
    spec = rows.services["outside-local"]["spec"]
    assert (spec["healthCheckNodePort"], spec["loadBalancerClass"]) == (30125, "example.org/none")
    assert "ingress" not in rows.services["outside-local"]["status"]["loadBalancer"]


def test_addresses_and_ports_that_cannot_be_had_are_refused_in_upstreams_words(rows: Field) -> None:
    for spec, words in REFUSALS:
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "refused"}, "spec": spec}
        manifest = rows.filled(orjson.dumps(service).decode())
        said = rows.cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", check=False, stdin=manifest)
        assert rows.filled(words) in said, said
