"""What the cluster DNS says, case by case, against the Kubernetes DNS specification and CoreDNS' behaviour."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest

from panal.controlplane.dns import wire
from panal.controlplane.dns.answer import answer
from panal.controlplane.dns.zones import ClusterZones

from .conftest import ask, lines

CASES = [
    # question, type, rcode, answer section, additional section
    ("kubernetes.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.1.1"], []),
    ("WEB.Default.SVC.cluster.local", "A", "NOERROR", ["A 10.10.1.102"], []),
    ("_http._tcp.web.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.1.102"], []),
    ("dual.default.svc.cluster.local", "AAAA", "NOERROR", ["AAAA fd00::1:20"], []),
    ("dual.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.1.120"], []),
    ("web.default.svc.cluster.local", "AAAA", "NOERROR", [], []),
    ("web.default.svc.cluster.local", "MX", "NOERROR", [], []),
    ("web.default.svc.cluster.local", "ANY", "NOERROR", [], []),
    ("absent.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
    ("pending.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
    ("web.other.svc.cluster.local", "A", "NXDOMAIN", [], []),
    ("web.default.cluster.local", "A", "NXDOMAIN", [], []),
    ("a.b.c.web.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
    ("default.svc.cluster.local", "A", "NOERROR", [], []),
    ("svc.cluster.local", "A", "NOERROR", [], []),
    ("cluster.local", "A", "NOERROR", [], []),
    ("_http._tcp.web.default.svc.cluster.local", "SRV", "NOERROR",
     ["SRV 0 100 80 web.default.svc.cluster.local."], ["web.default.svc.cluster.local A 10.10.1.102"]),
    ("_http._udp.web.default.svc.cluster.local", "SRV", "NXDOMAIN", [], []),
    ("web.default.svc.cluster.local", "SRV", "NOERROR",
     ["SRV 0 50 80 web.default.svc.cluster.local.", "SRV 0 50 9090 web.default.svc.cluster.local."],
     ["web.default.svc.cluster.local A 10.10.1.102"]),
    ("plain.default.svc.cluster.local", "SRV", "NOERROR",
     ["SRV 0 100 8080 plain.default.svc.cluster.local."], ["plain.default.svc.cluster.local A 10.10.1.110"]),
    # headless: the addresses of what is ready (or doesn't say), each with a name of its own
    ("db.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.0.7", "A 10.10.0.8", "A 10.10.0.9"], []),
    ("db-0.db.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.0.7"], []),
    ("10-10-0-8.db.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.0.8"], []),
    ("10-10-0-7.db.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
    ("_mysql._tcp.db.default.svc.cluster.local", "SRV", "NOERROR",
     ["SRV 0 33 3306 10-10-0-8.db.default.svc.cluster.local.", "SRV 0 33 3306 db-0.db.default.svc.cluster.local.",
      "SRV 0 33 3306 db-2.db.default.svc.cluster.local."],
     ["10-10-0-8.db.default.svc.cluster.local A 10.10.0.8", "db-0.db.default.svc.cluster.local A 10.10.0.7",
      "db-2.db.default.svc.cluster.local A 10.10.0.9"]),
    ("empty.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
    ("portless.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.0.11"], []),
    ("portless.default.svc.cluster.local", "SRV", "NOERROR", [], []),
    ("10-10-0-5.web.default.svc.cluster.local", "A", "NOERROR", ["A 10.10.0.5"], []),
    ("10-10-0-6.web.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
    # the way back
    ("102.1.10.10.in-addr.arpa", "PTR", "NOERROR", ["PTR web.default.svc.cluster.local."], []),
    ("7.0.10.10.in-addr.arpa", "PTR", "NOERROR", ["PTR db-0.db.default.svc.cluster.local."], []),
    ("5.0.10.10.in-addr.arpa", "PTR", "NOERROR", ["PTR 10-10-0-5.web.default.svc.cluster.local."], []),
    # pods by address
    ("10-10-0-5.default.pod.cluster.local", "A", "NOERROR", ["A 10.10.0.5"], []),
    ("10-10-0-5.default.pod.cluster.local", "AAAA", "NOERROR", [], []),
    ("fd00--5.default.pod.cluster.local", "AAAA", "NOERROR", ["AAAA fd00::5"], []),
    ("web.default.pod.cluster.local", "A", "NXDOMAIN", [], []),
    ("256-1-1-1.default.pod.cluster.local", "A", "NXDOMAIN", [], []),
    ("default.pod.cluster.local", "A", "NOERROR", [], []),
    # the zone itself
    ("dns-version.cluster.local", "TXT", "NOERROR", ['TXT "1.1.0"'], []),
    ("cluster.local", "NS", "NOERROR", ["NS ns.dns.cluster.local."], ["ns.dns.cluster.local A 10.10.1.10"]),
    ("ns.dns.cluster.local", "A", "NOERROR", ["A 10.10.1.10"], []),
    ("numeric.default.svc.cluster.local", "A", "NXDOMAIN", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "qtype", "rcode", "answers", "extra"), CASES, ids=lambda value: str(value)[:60])
def test_questions_and_answers(
    cluster: ClusterZones, name: str, qtype: str, rcode: str, answers: list[str], extra: list[str]
) -> None:
    said = ask(cluster.zones, name, qtype)
    assert said is not None
    assert dns.rcode.to_text(said.rcode()) == rcode
    assert [line.split(" ", 1)[1] for line in lines(said.answer)] == answers
    assert lines(said.additional) == extra
    assert said.flags & dns.flags.AA
    if not answers:
        assert [rrset.name.to_text() for rrset in said.authority] == ["cluster.local."]
        soa = said.authority[0][0]
        assert soa.mname.to_text() == "ns.dns.cluster.local."
        assert soa.rname.to_text() == "hostmaster.cluster.local."
        assert (soa.refresh, soa.retry, soa.expire, soa.minimum) == (7200, 1800, 86400, 30)
    assert {rrset.ttl for rrset in [*said.answer, *said.authority]} == {30}


@pytest.mark.parametrize(
    ("name", "qtype"),
    [
        ("www.example.org", "A"),
        ("local", "A"),
        ("cluster.local.example.org", "A"),
        ("1.0.0.127.in-addr.arpa", "PTR"),
        ("102.1.10.10.in-addr.arpa", "TXT"),
        (".", "NS"),
    ],
)
def test_what_is_not_the_clusters_is_forwarded(cluster: ClusterZones, name: str, qtype: str) -> None:
    assert ask(cluster.zones, name, qtype) is None


def test_an_external_name_is_an_alias_whose_target_is_asked_upstream(cluster: ClusterZones) -> None:
    query = wire.parse_query(dns.message.make_query("outside.default.svc.cluster.local", "A").to_wire())
    reply = answer(query, cluster.zones)
    assert reply is not None
    assert reply.chase == wire.name("db.example.org")
    assert [record.data for record in reply.answers] == [wire.name("db.example.org")]
    cname = ask(cluster.zones, "outside.default.svc.cluster.local", "CNAME")
    assert cname is not None
    assert lines(cname.answer) == ["outside.default.svc.cluster.local CNAME db.example.org."]


def test_an_external_name_inside_the_cluster_is_followed(cluster: ClusterZones) -> None:
    said = ask(cluster.zones, "alias.default.svc.cluster.local", "A")
    assert said is not None
    assert lines(said.answer) == [
        "alias.default.svc.cluster.local CNAME web.default.svc.cluster.local.",
        "web.default.svc.cluster.local A 10.10.1.102",
    ]


def test_aliases_that_go_round_in_circles_end_in_servfail(cluster: ClusterZones) -> None:
    said = ask(cluster.zones, "loop-a.default.svc.cluster.local", "A")
    assert said is not None
    assert said.rcode() == dns.rcode.SERVFAIL


def test_what_cannot_be_asked_is_refused_by_name(cluster: ClusterZones) -> None:
    for qtype, how, rcode in (
        ("AXFR", {}, dns.rcode.REFUSED),
        ("A", {"rdclass": "CH"}, dns.rcode.REFUSED),
        ("A", {"use_edns": 1}, dns.rcode.BADVERS),
    ):
        said = ask(cluster.zones, "cluster.local", qtype, **how)
        assert said is not None
        assert said.rcode() == rcode
    update = dns.message.make_query("cluster.local", "A")
    update.set_opcode(dns.opcode.NOTIFY)
    query = wire.parse_query(update.to_wire())
    from panal.controlplane.dns.answer import refuse

    reply = refuse(query)
    assert reply is not None
    assert dns.message.from_wire(wire.pack(query, reply, 512)).rcode() == dns.rcode.NOTIMP
