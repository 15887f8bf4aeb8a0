"""Following one connection from hop to hop by addresses and ports, never by time: whoever forwards is asked which
connection of its own it made for the one that came. Pure: `World` answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Address = tuple[str, int]
Answer = Mapping[str, Any]
UNKNOWN: Address = ("0.0.0.0", 0)
"""The client's end of a connection that was not made."""
_MOST = 12


@dataclass(frozen=True)
class Link:
    """One TCP connection, or UDP flow. `node`: whose rules it meets first; None when it comes from the LAN."""

    client: Address
    destination: Address
    node: str | None = None
    error: str = ""
    """Why it could not be made; "" when it was."""
    protocol: str = "TCP"

    @property
    def made(self) -> bool:
        return not self.error


@dataclass
class Hop:
    """One step. `said` is what the hop itself tells; `at`: monotonic seconds of its begin, if it knows."""

    step: str
    where: str
    said: dict[str, Any] = field(default_factory=dict)
    at: float | None = None
    milliseconds: float | None = None
    why: str = ""
    """Why it failed; "" when it did not."""


class World(Protocol):
    """Who can be asked."""

    def balancer(self, link: Link) -> Answer | None:
        """The load balancer's flow."""

    def node(self, node: str, link: Link) -> Answer:
        """`mode`, `rule`, `flow` as the node's kube-proxy tells them."""

    def pod(self, address: Address) -> dict[str, Any] | None:
        """Who has the address: namespace, name, node, container, pid."""

    def host(self, node: str, address: Address) -> dict[str, Any]:
        """The node's own process behind the port."""

    def request(self, pod: Mapping[str, Any]) -> Answer | None:
        """What the ingress in this pod tells of the request; None when it is no ingress."""

    def again(self, attempt: int) -> bool:
        """Whether it is worth asking once more, after the `attempt`-th time; waits a moment if so."""


@dataclass(frozen=True)
class Places:
    nodes: Mapping[str, str]
    """Address -> name."""
    balancer: str
    balancer_addresses: frozenset[str]
    shared: bool = False
    """The `loopback` network: any node's kube-proxy may have taken a connection to a ClusterIP."""
    real_port: Callable[[int], int] = int


def address(text: str) -> Address:
    """ADDRESS:PORT. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def follow(link: Link, world: World, places: Places) -> list[Hop]:
    """The hops, the last of which is where the connection ends or what failed."""
    hops: list[Hop] = []
    current: Link | None = link
    while current is not None and len(hops) < _MOST:
        current = _step(current, world, places, hops)
    return hops


def _step(link: Link, world: World, places: Places, hops: list[Hop]) -> Link | None:
    ip = link.destination[0]
    node = places.nodes.get(ip)
    answers = _asked([node] if node else _nodes(link, places), link, world)
    for name, told in sorted(
        answers, key=lambda answer: not answer[1].get("flow")
    ):  # who has the connection knows best
        if told.get("error"):
            hops.append(Hop("node", name, why=str(told["error"])))
            return None
        # In a shared network, or for a load balancer's address, the rule alone does not say that it was this node.
        elsewhere = (places.shared and not node) or ip in places.balancer_addresses
        if told.get("rule") and (told.get("flow") or not (elsewhere and link.made)):
            return _by_rule(name, link, told, places, hops)
    if ip in places.balancer_addresses:
        return _by_balancer(link, _balanced(link, world), places, hops)
    return _arrived(link, node, world, places, hops)


def _asked(names: list[str], link: Link, world: World) -> list[tuple[str, Answer]]:
    """What the nodes tell, once one of them has the connection, or none will: a forwarder may see it later than we."""
    attempt = 0
    while True:
        answers = [(name, world.node(name, link)) for name in names]
        known = any(told.get("flow") or told.get("error") for _, told in answers)
        expected = any(_forwards(told) for _, told in answers)
        attempt += 1
        if known or not expected or not world.again(attempt):
            return answers


def _forwards(told: Answer) -> bool:
    """Whether this node's proxy accepts connections for the rule itself, and so has a record of each in the end."""
    return told.get("mode") == "userspace" and bool((told.get("rule") or {}).get("candidates"))


def _balanced(link: Link, world: World) -> Answer | None:
    attempt = 1
    while (flow := world.balancer(link)) is None and link.made and world.again(attempt):
        attempt += 1
    return flow


def _nodes(link: Link, places: Places) -> list[str]:
    own = [link.node] if link.node else []
    return own + [name for name in places.nodes.values() if name != link.node] if places.shared else own


def _by_rule(node: str, link: Link, told: Answer, places: Places, hops: list[Hop]) -> Link | None:
    rule, flow = told["rule"], told.get("flow")
    said = {"mode": told["mode"], "destination": written(link.destination), **rule}
    hop = Hop("node" if rule["kind"] == "NodePort" else "service", node, said)
    hops.append(hop)
    service = f"{rule['namespace']}/{rule['service']}"
    if not rule["candidates"]:
        where = " on this node" if rule.get("localOnly") else ""
        hop.why = f"Service {service} has no endpoints{where}"
        return None
    return _forwarded(hop, link, flow, places, node, rule["candidates"])


def _by_balancer(link: Link, flow: Answer | None, places: Places, hops: list[Hop]) -> Link | None:
    hop = Hop("load balancer", places.balancer, {"destination": written(link.destination)})
    hops.append(hop)
    if flow is None and not link.made:
        hop.why = "nothing is forwarded from this address and port"
        return None
    candidates = list(flow["candidates"]) if flow else []
    hop.said["candidates"] = candidates
    return _forwarded(hop, link, flow, places, None, candidates)


def _forwarded(
    hop: Hop, link: Link, flow: Answer | None, places: Places, node: str | None, candidates: list[str]
) -> Link | None:
    """The hop's choice, and the connection it made for it."""
    if flow is None:
        if link.error and len(candidates) == 1:
            hop.said["choice"] = candidates[0]
            return Link(UNKNOWN, _real(address(candidates[0]), places), node, link.error, link.protocol)
        # conntrack forgets a connection as soon as its endpoint refuses it
        hop.why = f"the endpoint it chose: {link.error}" if link.error else "it has no record of this connection"
        return None
    hop.at = flow.get("opened")
    if flow.get("connected") is not None:
        hop.milliseconds = round(1e3 * (flow["connected"] - flow["opened"]), 2)
    if not flow.get("target") or not flow.get("source"):
        hop.why = "none of them could be reached" if flow["state"] == "failed" else "its choice has not answered yet"
        hop.said["choice"] = flow.get("target")
        return None
    target = address(flow["target"])
    named = [text for text in candidates if (target[0], target[1]) == _real(address(text), places)]
    hop.said |= {"choice": named[0] if named else flow["target"], "source": flow["source"]}
    return Link(address(flow["source"]), target, node, link.error, link.protocol)


def _real(found: Address, places: Places) -> Address:
    return found[0], places.real_port(found[1])


def _arrived(link: Link, node: str | None, world: World, places: Places, hops: list[Hop]) -> Link | None:
    if node is not None:
        why = f"no Service has this port, and the node's own processes: {link.error}" if link.error else ""
        hops.append(Hop("process", node, world.host(node, link.destination), why=why))
        return None
    pod = world.pod(link.destination)
    if pod is None:
        why = f"no node, Service or pod has this address: {link.error}" if link.error else ""
        hops.append(Hop("address", written(link.destination), {"peer": written(link.client)}, why=why))
        return None
    told = world.request(pod) if link.made and link.protocol == "TCP" else None
    hops.append(Hop("pod", str(pod["node"]), {**pod, "peer": written(link.client)}, why=link.error))
    return None if told is None else _by_ingress(pod, told, places, hops)


def _by_ingress(pod: Mapping[str, Any], told: Answer, places: Places, hops: list[Hop]) -> Link | None:
    said = {key: told[key] for key in ("rule", "target", "source", "reused", "refused", "status", "upstreamStatus")}
    hop = Hop("ingress", str(pod["name"]), said, at=told["opened"])
    hop.milliseconds = round(1e3 * (told["closed"] - told["opened"]), 2)
    hops.append(hop)
    if told["rule"] is None:
        hop.why = "no rule is for this host and path"
    elif not told["rule"]["candidates"]:
        hop.why = f"its upstream {told['rule']['backend']} has no endpoints"
    elif told["upstreamStatus"] is None and told["status"] >= 400:
        reasons = [f"{item['target']}: {item['why']}" for item in told["refused"]]
        hop.why = "; ".join(reasons) or f"it answered {told['status']} itself"
    if told["target"] is None:
        return None
    destination = _real(address(told["target"]), places)
    if told["source"]:
        return Link(address(told["source"]), destination, str(pod["node"]))
    why = told["refused"][-1]["why"] if told["refused"] else "not connected"
    return Link(UNKNOWN, destination, str(pod["node"]), why)


def written(found: Address) -> str:
    return f"{found[0]}:{found[1]}"
