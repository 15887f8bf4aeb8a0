"""The table of Service behaviours, as data: what is applied, who asks what, and what must be answered.

`test_services.py` runs each row in every proxy mode and network. Pods a and b (on nodoa and nodob) answer with their
name and the address they saw; c (nodoc) is never ready, t (nodoc) terminates but still serves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WHO = """
import os, signal, socketserver, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
me = os.environ["ME"]
class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(100); self.request.sendall(f"{me} {self.client_address[0]} {self.server.server_address[1]}".encode())
class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        text = f"{me} {self.client_address[0]} {self.server.server_address[1]}"
        self.request[1].sendto(text.encode(), self.client_address)
socketserver.ThreadingTCPServer.allow_reuse_address = True
servers = [socketserver.ThreadingTCPServer((os.environ["POD_IP"], port), Tcp) for port in (7100, 7101)]
servers.append(socketserver.ThreadingUDPServer((os.environ["POD_IP"], 7100), Udp))
for server in servers:
    threading.Thread(target=server.serve_forever).start()
"""  # noqa: E501

PROBE = """
import json, socket, sys
def ask(kind, address, port):
    if kind == "name":
        return sorted({item[4][0] for item in socket.getaddrinfo(address, port, socket.AF_INET, socket.SOCK_STREAM)})
    with socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as s:
        address = socket.getaddrinfo(address, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
        s.settimeout(1.5); s.connect((address, port)); s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        said = s.recv(400).decode()
        return said.split()[:3] if said else ["ended"]
for kind, address, port, times in json.loads(sys.argv[1]):
    said = []
    for _ in range(times):
        try: said.append(ask(kind, address, port))
        except TimeoutError: said.append(["silent"])
        except OSError as error: said.append([type(error).__name__])
    print(json.dumps(said), flush=True)
"""
REFUSED = frozenset({"ConnectionRefusedError", "ConnectionResetError", "ended"})


@dataclass(frozen=True)
class Ask:
    """`times` questions from a host (or `pod/NAME`) to `where`; who must answer.

    `where`: cluster | node:NAME | balancer | health:NAME | external | a DNS name. `saw`: the address the pod must have
    seen, as a host's name. `only`: proxy modes or networks in which it holds; else in all.
    """

    host: str
    where: str
    answers: frozenset[str] = frozenset()
    port: int = 8080
    kind: str = "tcp"
    times: int = 4
    saw: str = ""
    only: tuple[str, ...] = ()
    refused: bool = False
    silent: bool = False
    """No answer at all, or no way, or refused: nobody is meant to be reached."""


@dataclass(frozen=True)
class Behaviour:
    """One row: a Service's spec (without selector: `selector` is {"who": NAME}) and the questions about it."""

    name: str
    spec: dict[str, Any]
    asks: tuple[Ask, ...]
    selector: dict[str, str] | None = field(default_factory=lambda: {"app": "who"})
    slices: bool = False
    """An EndpointSlice of the test's own leads it to pod b's port 7101."""


A, B = frozenset("a"), frozenset("b")
AB, NONE = A | B, frozenset[str]()
PORT = {"port": 8080, "targetPort": 7100}
OUTSIDE = "menchupc"


def _spec(*ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"ports": list(ports or (PORT,)), **more}


TABLE = (
    Behaviour(
        "allocated", _spec(),
        (Ask("nodoc", "cluster", AB), Ask("nodoa", "cluster", AB), Ask("pod/b", "cluster", AB)),
    ),
    Behaviour("chosen", _spec(clusterIP="{chosen}"), (Ask("nodoc", "cluster", AB),)),
    Behaviour(
        "ports",
        _spec({"name": "one", "port": 8080, "targetPort": "main"}, {"name": "two", "port": 8081, "targetPort": 7101}),
        (Ask("nodoc", "cluster", AB), Ask("nodoc", "cluster", AB, port=8081)),
    ),
    Behaviour("udp", _spec({**PORT, "protocol": "UDP"}), (Ask("nodoc", "cluster", AB, kind="udp"),)),
    Behaviour(
        "sctp",
        _spec({"name": "tcp", **PORT}, {"name": "sctp", "port": 8090, "targetPort": 7100, "protocol": "SCTP"}),
        (Ask("nodoc", "cluster", AB), Ask("nodoc", "cluster", port=8090, silent=True, times=1)),
    ),
    Behaviour(
        "nodeport",
        _spec({**PORT, "nodePort": 30123}, type="NodePort"),
        (Ask(OUTSIDE, "node:nodoa", AB), Ask(OUTSIDE, "node:nodoc", AB), Ask("nodoc", "node:nodoa", AB)),
    ),
    Behaviour(
        "nodeport-udp",
        _spec({**PORT, "protocol": "UDP", "nodePort": 30123}, type="NodePort"),
        (Ask(OUTSIDE, "node:nodoc", AB, kind="udp"),),
    ),
    Behaviour(
        "sticky",
        _spec(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 600}}),
        (Ask("nodoc", "cluster", AB, times=8, only=("netns",)),),
    ),
    Behaviour(
        "inside-local",
        _spec(internalTrafficPolicy="Local"),
        (
            Ask("nodoa", "cluster", A, only=("netns",)),
            Ask("nodob", "cluster", B, only=("netns",)),
            Ask("pod/a", "cluster", A, only=("netns",)),
            Ask("nodoc", "cluster", silent=True, times=1, only=("netns",)),
        ),
    ),
    Behaviour(
        "outside-local",
        _spec({**PORT, "nodePort": 30124}, type="LoadBalancer", externalTrafficPolicy="Local",
              loadBalancerClass="example.org/none", healthCheckNodePort=30125),
        (Ask(OUTSIDE, "node:nodoa", A, saw=OUTSIDE, only=("netfilter",)), Ask(OUTSIDE, "node:nodob", B),
         Ask(OUTSIDE, "node:nodoc", silent=True, times=1), Ask("nodoc", "cluster", AB),
         Ask(OUTSIDE, "health:nodoa", frozenset({"HTTP/1.0 200", "HTTP/1.1 200"}), times=1),
         Ask(OUTSIDE, "health:nodoc", frozenset({"HTTP/1.0 503", "HTTP/1.1 503"}), times=1)),
    ),
    Behaviour("balanced", _spec(type="LoadBalancer"), (Ask(OUTSIDE, "balancer", AB),)),
    Behaviour(
        "for-menchu", _spec(type="LoadBalancer", loadBalancerSourceRanges=["{menchupc}/32"]),
        (Ask(OUTSIDE, "balancer", AB, only=("netns",)),),
    ),
    Behaviour(
        "for-others", _spec(type="LoadBalancer", loadBalancerSourceRanges=["{nobody}/32"]),
        (Ask(OUTSIDE, "balancer", silent=True, times=1),),
    ),
    Behaviour(
        "external", _spec(externalIPs=["198.51.100.7"]),
        (Ask("nodoc", "external", AB, only=("netns",)), Ask("pod/a", "external", AB, only=("netns",))),
    ),
    Behaviour("not-ready", _spec(), (Ask("nodoa", "cluster", refused=True, times=1),), {"who": "c"}),
    Behaviour("not-ready-published", _spec(publishNotReadyAddresses=True), (Ask("nodoa", "cluster", frozenset("c")),),
              {"who": "c"}),
    Behaviour("terminating", _spec(), (Ask("nodoa", "cluster", frozenset("t")),), {"who": "t"}),
    Behaviour("own-endpoints", _spec(), (Ask("nodoa", "cluster", B), Ask("pod/a", "cluster", B)), None, slices=True),
    Behaviour("hairpin", _spec(), (Ask("pod/a", "cluster", A),), {"who": "a"}),
    Behaviour(
        "nobody",
        _spec({**PORT, "nodePort": 30126}, type="NodePort"),
        (Ask("nodoa", "cluster", refused=True), Ask("pod/a", "cluster", refused=True),
         Ask(OUTSIDE, "node:nodoa", refused=True)),
        {"who": "nobody"},
    ),
    Behaviour("headless", _spec(clusterIP="None"), (Ask("pod/a", "name:headless", AB, kind="name", times=1),)),
    Behaviour("elsewhere", {"type": "ExternalName", "externalName": "allocated.behaviours.svc.cluster.local"},
              (Ask("pod/a", "elsewhere", AB),), None),
)  # fmt: skip


ONE = {"ports": [{"port": 1}]}
REFUSALS: tuple[tuple[dict[str, Any], str], ...] = (
    ({**ONE, "clusterIP": "{chosen}"}, "failed to allocate IP {chosen}: provided IP is already allocated"),
    (
        {**ONE, "clusterIP": "{foreign}"},
        "the provided IP ({foreign}) is not in the valid range. The range of valid IPs is",
    ),
    (
        {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30123}]},
        "spec.ports[0].nodePort: Invalid value: 30123: provided port is already allocated",
    ),
    (
        {"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]},
        "provided port is not in the valid range. The range of valid ports is 30000-32767",
    ),
    (
        {**ONE, "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30123},
        "failed to allocate requested HealthCheck NodePort 30123: provided port is already allocated",
    ),
    ({**ONE, "type": "NodePort", "clusterIP": "None"}, "may not be set to 'None' for NodePort services"),
    ({**ONE, "loadBalancerClass": "a.b/c"}, "may only be used when `type` is 'LoadBalancer'"),
)
"""Specs that are refused, and the words of it."""


def pods() -> list[dict[str, Any]]:
    """The pods that answer."""
    nodes = {"a": "nodoa", "b": "nodob", "c": "nodoc", "t": "nodoc"}
    return [_pod(name, node) for name, node in nodes.items()]


def _pod(name: str, node: str) -> dict[str, Any]:
    env: list[dict[str, Any]] = [
        {"name": "ME", "value": name},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    container: dict[str, Any] = {
        "name": "who", "image": "python", "command": ["python3", "-c", WHO], "env": env,
        "ports": [{"name": "main", "containerPort": 7100}],
        "startupProbe": {"tcpSocket": {"port": 7100}, "periodSeconds": 1},
    }  # fmt: skip
    if name == "c":
        container["readinessProbe"] = {"exec": {"command": ["false"]}, "periodSeconds": 5}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"who": name, **({"app": "who"} if name in AB else {})}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 300 if name == "t" else 0,
            "containers": [container],
        },
    }
