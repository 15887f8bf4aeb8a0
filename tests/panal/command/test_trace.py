"""Following a connection from hop to hop, with hops that are written down; names and targets as they are given."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from panal.command.trace.chain import UNKNOWN, Address, Answer, Hop, Link, Places, follow, written
from panal.command.trace.naming import Resolver, answer, question
from panal.command.trace.report import document, rows
from panal.command.trace.target import Target, parse

PLACES = Places({"192.168.0.101": "nodoa", "192.168.0.102": "nodob"}, "lb", frozenset({"192.168.0.10"}))
MENCHU: Address = ("192.168.0.200", 40000)


def rule(kind: str, service: str, *candidates: str) -> dict[str, Any]:
    namespace, _, name = service.partition("/")
    return {"kind": kind, "namespace": namespace, "service": name, "portName": "", "candidates": list(candidates)}


def flow(source: str, target: str, **more: Any) -> dict[str, Any]:
    return {"source": source, "target": target, "state": "open", "opened": 1.0, "connected": 1.5, **more}


@dataclass
class Written:
    """A World of what was written down: flows by (who, client, destination)."""

    rules: dict[tuple[str, str], Any] = field(default_factory=dict)
    flows: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: dict[str, Any] = field(default_factory=dict)
    late: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    asked_again: int = 0

    def balancer(self, link: Link) -> Answer | None:
        return self.flows.get(("lb", written(link.client), written(link.destination)))

    def node(self, node: str, link: Link) -> Answer:
        found = self.rules.get((node, written(link.destination)))
        client = self.flows.get((node, written(link.client), written(link.destination)))
        return {"mode": "userspace", "rule": found, "flow": client}

    def pod(self, address: Address) -> dict[str, Any] | None:
        return self.pods.get(address[0])

    def host(self, node: str, address: Address) -> dict[str, Any]:
        return {"port": address[1]}

    def request(self, pod: Mapping[str, Any]) -> Answer | None:
        found: Answer | None = self.requests.get(str(pod["name"]))
        return found

    def again(self, attempt: int) -> bool:
        """`late` is written down after the third question."""
        if attempt == 3:
            self.flows.update(self.late)
        self.asked_again += 1
        return attempt < 5


@pytest.fixture
def picture() -> Written:
    """The way of the picture, with another connection at each hop that must not be taken for it."""
    world = Written()
    nodes = ["192.168.0.101:30880", "192.168.0.102:30880"]
    world.flows["lb", "192.168.0.200:40000", "192.168.0.10:80"] = flow(
        "192.168.0.10:50001", "192.168.0.102:30880", candidates=nodes
    )
    world.flows["lb", "192.168.0.200:40001", "192.168.0.10:80"] = flow(
        "192.168.0.10:50002", "192.168.0.101:30880", candidates=nodes
    )
    for node, ip in (("nodoa", "192.168.0.101"), ("nodob", "192.168.0.102")):
        world.rules[node, f"{ip}:30880"] = rule("NodePort", "ingress/nginx", "10.10.0.131:80")
        world.rules[node, "10.10.1.102:8080"] = rule("ClusterIP", "default/wp", "10.10.0.66:8000", "10.10.0.67:8000")
    world.flows["nodob", "192.168.0.10:50001", "192.168.0.102:30880"] = flow("192.168.0.102:60001", "10.10.0.131:80")
    world.flows["nodob", "192.168.0.10:50002", "192.168.0.102:30880"] = flow("192.168.0.102:60002", "10.10.0.9:80")
    world.pods["10.10.0.131"] = {"name": "ingress-1", "node": "nodoa", "namespace": "ingress"}
    world.pods["10.10.0.67"] = {"name": "wp-2", "node": "nodob", "namespace": "default"}
    world.requests["ingress-1"] = {
        "rule": {"ingress": "default/web1", "backend": "default-wp-8080", "candidates": ["10.10.1.102:8080"]},
        "target": "10.10.1.102:8080", "source": "10.10.0.131:33000", "reused": False, "refused": [],
        "status": 200, "upstreamStatus": 200, "opened": 2.0, "closed": 2.1,
    }  # fmt: skip
    world.flows["nodoa", "10.10.0.131:33000", "10.10.1.102:8080"] = flow("10.10.0.131:33000", "10.10.0.67:8000")
    return world


def test_each_hop_is_asked_for_the_connection_the_one_before_made(picture: Written) -> None:
    hops = follow(Link(MENCHU, ("192.168.0.10", 80)), picture, PLACES)
    assert [(hop.step, hop.where) for hop in hops] == [
        ("load balancer", "lb"), ("node", "nodob"), ("pod", "nodoa"), ("ingress", "ingress-1"), ("service", "nodoa"),
        ("pod", "nodob"),
    ]  # fmt: skip
    assert [hop.said["choice"] for hop in hops if "choice" in hop.said] == [
        "192.168.0.102:30880", "10.10.0.131:80", "10.10.0.67:8000",
    ]  # fmt: skip
    assert hops[-1].said["name"] == "wp-2"
    assert not any(hop.why for hop in hops)


def test_two_connections_at_once_are_told_apart_by_their_ports(picture: Written) -> None:
    hops = follow(Link((MENCHU[0], 40001), ("192.168.0.10", 80)), picture, PLACES)
    assert hops[0].said["choice"] == "192.168.0.101:30880"


def test_a_hop_that_knows_nothing_of_the_connection_is_said_to(picture: Written) -> None:
    del picture.flows["nodob", "192.168.0.10:50001", "192.168.0.102:30880"]
    hops = follow(Link(MENCHU, ("192.168.0.10", 80)), picture, PLACES)
    assert (hops[-1].step, hops[-1].why) == ("node", "it has no record of this connection")


def test_a_refused_connection_is_explained_by_the_rule_without_endpoints(picture: Written) -> None:
    picture.rules["nodoa", "10.10.1.102:8080"] = rule("ClusterIP", "default/wp")
    picture.requests["ingress-1"] |= {
        "source": None, "status": 502, "upstreamStatus": None,
        "refused": [{"target": "10.10.1.102:8080", "why": "Connection refused"}],
    }  # fmt: skip
    hops = follow(Link(MENCHU, ("192.168.0.10", 80)), picture, PLACES)
    assert [hop.why for hop in hops[-2:]] == [
        "10.10.1.102:8080: Connection refused",
        "Service default/wp has no endpoints",
    ]
    told = document("menchupc", "http://web1/", {"started": 0.0}, hops)
    assert told["failed"] == {"step": "service", "where": "nodoa", "why": "Service default/wp has no endpoints"}


def test_a_pod_that_refuses_is_named(picture: Written) -> None:
    picture.flows["nodoa", "10.10.0.9:7", "10.10.1.102:8080"] = flow("10.10.0.9:7", "10.10.0.67:8000")
    link = Link(("10.10.0.9", 7), ("10.10.1.102", 8080), "nodoa", "Connection refused")
    last = follow(link, picture, PLACES)[-1]
    assert (last.step, last.said["name"], last.why) == ("pod", "wp-2", "Connection refused")


def test_a_refused_connection_leads_to_the_only_endpoint_there_is(picture: Written) -> None:
    picture.rules["nodoa", "10.10.1.102:8080"] = rule("ClusterIP", "default/wp", "10.10.0.67:8000")
    link = Link(("10.10.0.9", 7), ("10.10.1.102", 8080), "nodoa", "Connection refused")
    hops = follow(link, picture, PLACES)
    assert [(hop.step, hop.why) for hop in hops] == [("service", ""), ("pod", "Connection refused")]


def test_in_a_shared_network_the_node_that_took_the_connection_is_found(picture: Written) -> None:
    places = Places(PLACES.nodes, "lb", PLACES.balancer_addresses, shared=True)
    picture.flows["nodob", "127.0.0.1:5", "10.10.1.102:8080"] = flow("127.0.0.1:6", "10.10.0.67:8000")
    hops = follow(Link(("127.0.0.1", 5), ("10.10.1.102", 8080)), picture, places)
    assert [(hop.step, hop.where) for hop in hops] == [("service", "nodob"), ("pod", "nodob")]


def test_in_a_shared_network_the_node_that_could_not_pass_it_on_is_found(picture: Written) -> None:
    places = Places(PLACES.nodes, "lb", PLACES.balancer_addresses, shared=True)
    failed = {**flow("", ""), "source": None, "target": None, "state": "failed", "connected": None}
    picture.flows["nodob", "127.0.0.1:5", "10.10.1.102:8080"] = failed
    link = Link(("127.0.0.1", 5), ("10.10.1.102", 8080), "nodoa", "Connection reset by peer")
    hops = follow(link, picture, places)
    assert [(hop.where, hop.why) for hop in hops] == [("nodob", "none of them could be reached")]


def test_an_address_of_nobody_is_said_to_be() -> None:
    hops = follow(Link(UNKNOWN, ("192.168.0.77", 80), error="No route to host"), Written(), PLACES)
    assert hops[-1].why == "no node, Service or pod has this address: No route to host"


def test_hops_that_lead_in_a_circle_end() -> None:
    world = Written()
    for port in (80, 81):
        world.rules["nodoa", f"10.10.1.1:{port}"] = rule("ClusterIP", "default/a", f"10.10.1.1:{161 - port}")
        world.flows["nodoa", "10.10.0.2:1", f"10.10.1.1:{port}"] = flow("10.10.0.2:1", f"10.10.1.1:{161 - port}")
    assert 2 < len(follow(Link(("10.10.0.2", 1), ("10.10.1.1", 80), "nodoa"), world, PLACES)) < 20


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://web1.miempresa.com", Target("http", "web1.miempresa.com", 80)),
        ("https://a/b?c=d", Target("https", "a", 443, "/b?c=d")),
        ("http://a:8080/", Target("http", "a", 8080)),
        ("nodoa:30880", Target("tcp", "nodoa", 30880)),
        ("web1.miempresa.com", Target("http", "web1.miempresa.com", 80)),
        ("nodoa:30880/x", Target("http", "nodoa", 30880, "/x")),
    ],
)
def test_a_target_is_a_url_or_a_host_and_port(text: str, target: Target) -> None:
    assert parse(text) == target


@pytest.mark.parametrize("text", ["", "ftp://a/", "a:", "a:99999", "http://a/\r\nX: y", "http://a b/", "-x:1"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"can be traced|no URL|[Pp]ort"):
        parse(text)


def test_a_pods_resolver_tries_its_search_path_first() -> None:
    searches = ("default.svc.cluster.local", "cluster.local")
    assert Resolver("10.10.1.10", 53, searches, 5).questions("wp") == [
        "wp.default.svc.cluster.local", "wp.cluster.local", "wp",
    ]  # fmt: skip
    assert Resolver("192.168.0.2", 53, ("miempresa.com",)).questions("a.b")[0] == "a.b"


def test_an_answers_addresses_are_read_behind_aliases_and_compressed_names() -> None:
    asked = question("a.b", 7)
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 5, 4) + b"\x01c\xc0\x0e"
    found = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + bytes((10, 0, 0, 1))
    message = struct.pack("!HHHHHH", 7, 0x8180, 1, 2, 0, 0) + asked[12:] + alias + found
    assert answer(message, 7) == ("NOERROR", ["10.0.0.1"])
    with pytest.raises(ValueError, match="not an answer"):
        answer(message, 8)


def test_what_a_server_sends_does_nothing_to_the_terminal() -> None:
    hop = Hop("answer", "", {"status": 200, "reason": "O\x1b[2JK", "text": "a\x1b]0;title\x07b\n"})
    assert all(text.isprintable() for _, text in rows(hop))


def test_a_datagram_is_followed_as_a_datagram(picture: Written) -> None:
    picture.rules["nodoa", "10.10.1.10:53"] = rule("ClusterIP", "kube-system/kube-dns", "10.10.0.2:53")
    link = Link(("192.168.0.101", 45000), ("10.10.1.10", 53), "nodoa", protocol="UDP")
    picture.flows["nodoa", "192.168.0.101:45000", "10.10.1.10:53"] = flow("192.168.0.101:45001", "10.10.0.2:53")
    picture.pods["10.10.0.2"] = {"name": "coredns", "node": "nodob", "namespace": "kube-system"}
    picture.requests["coredns"] = {"rule": None}  # nobody asks it: that is for requests of HTTP
    assert [hop.step for hop in follow(link, picture, PLACES)] == ["service", "pod"]
    (_, options) = rows_of(link)
    assert options == [("connection", "192.168.0.101:45000 -> 10.10.1.10:53"), ("answer", "45 bytes")]


def rows_of(link: Link) -> tuple[Hop, list[tuple[str, str]]]:
    said = {"local": written(link.client), "remote": written(link.destination), "protocol": "UDP", "answered": 45}
    hop = Hop("connection", "nodoa", said)
    return hop, rows(hop)


def test_a_forwarder_that_has_not_written_the_connection_down_yet_is_asked_again(picture: Written) -> None:
    link = Link(("192.168.0.101", 45000), ("10.10.1.102", 8080), "nodoa")
    failed = {**flow("", ""), "source": None, "target": None, "state": "failed", "connected": None}
    picture.late["nodoa", "192.168.0.101:45000", "10.10.1.102:8080"] = failed
    (hop,) = follow(link, picture, PLACES)
    assert hop.why == "none of them could be reached"
    assert picture.asked_again == 3
    picture.rules["nodoa", "10.10.1.103:80"] = rule("ClusterIP", "default/empty")
    (empty,) = follow(Link(link.client, ("10.10.1.103", 80), "nodoa", "Connection refused"), picture, PLACES)
    assert empty.why == "Service default/empty has no endpoints"
    assert picture.asked_again == 3  # nobody forwards there: there is nothing to wait for
