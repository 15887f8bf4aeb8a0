"""The question the bring-up asks the cluster DNS, and what is waited for."""

from __future__ import annotations

import dns.message
import dns.rdatatype

from panal.agents.node.bringup import dns_query


def test_the_question_is_one_that_dns_servers_understand():
    message = dns.message.from_wire(dns_query("kubernetes.default.svc.cluster.local"))
    [question] = message.question
    assert question.name.to_text() == "kubernetes.default.svc.cluster.local."
    assert question.rdtype == dns.rdatatype.A
