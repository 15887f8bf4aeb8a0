"""A pod's resolv.conf."""

from __future__ import annotations

from typing import Any

import pytest

from panal.agents.kubelet.dns import Resolv, parse, resolv

NODE = parse("# the node's\nnameserver 192.168.0.2\nsearch miempresa.com .\noptions edns0\n")
SEARCHES = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "miempresa.com"]
"""The cluster's own, and then the node's."""
CLUSTER = Resolv(["10.10.1.10"], SEARCHES, ["ndots:5"])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, CLUSTER),
        ({"dnsPolicy": "Default"}, Resolv(["192.168.0.2"], ["miempresa.com"], ["edns0"])),
        ({"hostNetwork": True}, Resolv(["192.168.0.2"], ["miempresa.com"], ["edns0"])),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, CLUSTER),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["a"], "options": [{"name": "x", "value": "1"}]},
            },
            Resolv(["1.1.1.1"], ["a"], ["x:1"]),
        ),
        (
            {
                "dnsConfig": {
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                    "searches": ["svc.cluster.local"],
                }
            },
            Resolv(CLUSTER.servers, CLUSTER.searches, ["ndots:2", "edns0"]),
        ),
    ],
)
def test_policies(pod: Any, spec: dict[str, Any], expected: Resolv) -> None:
    assert resolv(pod("web", **spec), cluster_dns="10.10.1.10", domain="cluster.local", node=NODE) == expected
