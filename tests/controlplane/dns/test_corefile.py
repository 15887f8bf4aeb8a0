"""Corefiles: what is understood, what is refused by name, and mistakes told in CoreDNS' words."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest

from panal.addons import corefile as clusters
from panal.controlplane.dns import wire
from panal.controlplane.dns.build import plans
from panal.controlplane.dns.corefile import CorefileError, parse
from panal.controlplane.dns.settings import Settings, read
from panal.controlplane.dns.zones import ClusterZones

from ...onenode import ONE_NODE
from .conftest import lines, populate


def settings(text: str, **environ: str) -> Settings:
    return read(parse(text, environ))


def test_the_clusters_own_corefile_has_nothing_that_is_refused() -> None:
    found = settings(clusters(ONE_NODE))
    assert not found.refused
    assert (found.health, found.ready, found.metrics, found.lameduck, found.reload) == (8080, 8181, 9153, 1.0, True)
    assert found.kubernetes is not None
    assert (found.kubernetes.domain, found.kubernetes.pods, found.kubernetes.ttl) == ("cluster.local", "insecure", 30)
    root = found.blocks[0]
    assert (root.loop, root.loadbalance, root.errors, root.log) == (True, True, True, False)
    assert root.cache is not None
    assert (root.cache.success, root.cache.never_denial) == (30, (wire.name("cluster.local"),))
    assert root.forward is not None
    assert (root.forward.to, root.forward.max_concurrent) == (("/etc/resolv.conf",), 1000)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("autopath @kubernetes", ("line 2: autopath",)),
        ("dnssec {\n key file x\n}", ("line 2: dnssec",)),
        ("kubernetes cluster.local {\n pods verified\n}", ("line 3: kubernetes pods verified",)),
        ("kubernetes cluster.local {\n endpoint https://x\n}", ("line 3: kubernetes endpoint",)),
        ("rewrite type ANY HINFO", ("line 2: rewrite",)),
        ("forward . 1.1.1.1 {\n tls\n}", ("line 3: forward tls",)),
        ("cache {\n prefetch 5\n}", ("line 3: cache prefetch",)),
        ("log\nerrors\nloadbalance", ()),
        ('hosts {\n 1.2.3.4 "a.b" # comment\n fallthrough\n}', ()),
    ],
)
def test_directives_that_are_not_served_are_named_and_left_out(line: str, refused: tuple[str, ...]) -> None:
    assert settings(f".:53 {{\n{line}\n}}").refused == refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".:53 {\n nonsense\n}", "Corefile:2 - Error during parsing: Unknown directive 'nonsense'"),
        (".:53 {\n errors\n", "Corefile:2 - Error during parsing: Unexpected EOF, expecting '}'"),
        (".:53\n", "Corefile:1 - Error during parsing: Unexpected token '.:53', expecting '{'"),
        ("", "Corefile: no server block"),
        (".:53 {\n cache x {\n success 0\n}\n}",
         "plugin/cache: Corefile:3 - Error during parsing: cache TTL can not be zero or negative: 0"),
        (".:53 {\n forward .\n}",
         "plugin/forward: Corefile:2 - Error during parsing: Wrong argument count or unexpected line ending after"
         " 'forward'"),
        (".:53 {\n kubernetes {\n ttl 9999\n}\n}",
         "plugin/kubernetes: Corefile:3 - Error during parsing: ttl must be in range [0, 3600]: 9999"),
        (".:53 {\n kubernetes {\n bogus\n}\n}",
         "plugin/kubernetes: Corefile:3 - Error during parsing: unknown property 'bogus'"),
        ("tls://.:853 {\n}", "Corefile:1 - only plain DNS is served, not 'tls://.:853'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(text: str, said: str) -> None:
    with pytest.raises(CorefileError) as found:
        settings(text)
    assert str(found.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".:53 {\n}\n.:53 {\n}", "cannot serve dns://.:53 - it is already defined"),
        (".:53 {\n}\na.b:54 {\n}", "port 54: all zones are served on one port, which is 53"),
        (".:53 {\n forward . nobody\n}", "plugin/forward: not an IP address or file: 'nobody'"),
    ],
)
def test_mistakes_between_blocks_are_told_too(text: str, said: str) -> None:
    with pytest.raises(CorefileError) as found:
        plans(settings(text), None, {}, ())
    assert str(found.value) == said


def test_the_environment_is_put_in_before_anything_is_read() -> None:
    found = settings("{$ZONE}:{%PORT%} {\n ready\n}", ZONE="a.org", PORT="1053")
    assert (found.blocks[0].zones, found.blocks[0].port) == ((wire.name("a.org"),), 1053)


BLOCK = """
.:53 {
    rewrite name exact short.example.org web.default.svc.cluster.local
    rewrite name suffix .old.org .default.svc.cluster.local
    rewrite name regex (.*)-x\\.org {1}.default.svc.cluster.local
    hosts {
        10.9.8.7 printer.example.org printer
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa {
        ttl 7
        fallthrough in-addr.arpa
    }
}
quiet.org {
    hosts {
        10.1.1.1 www.quiet.org
    }
}
"""
ANSWERS = [
    ("web.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.1.102"]),
    ("short.example.org", "A", "NOERROR", ["A 10.10.1.102"]),
    ("web.old.org", "A", "NOERROR", ["A 10.10.1.102"]),
    ("web-x.org", "A", "NOERROR", ["A 10.10.1.102"]),
    ("printer.example.org", "A", "NOERROR", ["A 10.9.8.7"]),
    ("printer.example.org", "AAAA", "NOERROR", []),
    ("7.8.9.10.in-addr.arpa", "PTR", "NOERROR", ["PTR printer.example.org.", "PTR printer."]),
    ("www.quiet.org", "A", "NOERROR", ["A 10.1.1.1"]),
    ("other.quiet.org", "A", "NXDOMAIN", []),
    ("10-10-0-5.default.pod.cluster.local", "A", "NXDOMAIN", []),
    ("nobody.example.org", "A", "REFUSED", []),
]


@pytest.mark.parametrize(("name", "qtype", "rcode", "answers"), ANSWERS, ids=lambda value: str(value)[:50])
def test_what_a_corefile_says_is_answered(name: str, qtype: str, rcode: str, answers: list[str]) -> None:
    from panal.controlplane.dns.server import Responder

    found = settings(BLOCK)
    assert found.kubernetes is not None
    zones = ClusterZones("cluster.local", ttl=7, serial=1, how=found.kubernetes)
    populate(zones)
    responder = Responder()
    responder.follow(plans(found, zones, {}, ()))
    said: list[bytes] = []
    query = dns.message.make_query(name, qtype)
    responder.respond(query.to_wire(), said.append)
    message = dns.message.from_wire(said[0])
    assert query.is_response(message)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert sorted(line.split(" ", 1)[1] for line in lines(message.answer)) == sorted(answers)
    assert {rrset.name.to_text(omit_final_dot=True) for rrset in message.answer} <= {name}
