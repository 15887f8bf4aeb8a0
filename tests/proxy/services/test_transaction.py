"""Tables become nft transactions: whole rule sets against golden files, changes against what they must touch.

A golden file is rewritten by running this test with PANAL_REWRITE_GOLDEN=1; read the difference before keeping it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from panal.proxy.services.rules import rules
from panal.proxy.services.table import Endpoint, PortName, ServicePort, ServiceTable
from panal.proxy.services.transaction import Ruleset

GOLDEN = Path(__file__).parents[2] / "testdata"
CIDR = "10.10.0.0/16"

MARIADB = ServicePort(
    PortName("default", "mariadb-service", "", "TCP"), ("10.10.1.101",), 3307, endpoints=(Endpoint("10.10.0.9", 3306),)
)
WP = ServicePort(
    PortName("default", "wp-service", "", "TCP"),
    ("10.10.1.102",),
    8080,
    endpoints=(Endpoint("10.10.0.5", 80, True), Endpoint("10.10.0.70", 80)),
)
NGINX = ServicePort(
    PortName("ingress", "nginx", "http", "TCP"),
    ("10.10.1.105",),
    8081,
    node_port=30880,
    endpoints=(Endpoint("10.10.0.7", 80),),
)
DNS = ServicePort(
    PortName("kube-system", "kube-dns", "dns", "UDP"), ("10.10.1.10",), 53, endpoints=(Endpoint("10.10.0.2", 53),)
)
EMPTY = ServicePort(PortName("default", "empty", "", "TCP"), ("10.10.1.110",), 80, node_port=30110)
STICKY = replace(WP, name=PortName("default", "sticky", "", "TCP"), cluster_ips=("10.10.1.111",), affinity_seconds=600)
HERE = (Endpoint("10.10.0.5", 80, True),)
LOCAL = replace(
    NGINX,
    name=PortName("ingress", "local", "http", "TCP"),
    cluster_ips=("10.10.1.112",),
    node_port=30112,
    load_balancer_ips=("192.168.0.11",),
    external_ips=("203.0.113.7",),
    source_ranges=("192.168.0.0/16", "192.168.7.0/24"),
    external_local=True,
    internal_local=True,
    endpoints=(*HERE, Endpoint("10.10.0.70", 80)),
    local_endpoints=HERE,
)
ELSEWHERE = replace(
    LOCAL, name=PortName("ingress", "elsewhere", "http", "TCP"), cluster_ips=("10.10.1.113",), node_port=30113,
    load_balancer_ips=(), external_ips=(), source_ranges=(), endpoints=NGINX.endpoints, local_endpoints=(),
)  # fmt: skip


def table(*ports: ServicePort) -> ServiceTable:
    return ServiceTable("nodoa", ("192.168.0.101",), {port.name: port for port in ports})


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("miempresa", (MARIADB, WP, NGINX, DNS)),
        ("policies", (EMPTY, STICKY, LOCAL, ELSEWHERE)),
        ("nothing", ()),
    ],
)
def test_whole_rule_sets(name: str, ports: tuple[ServicePort, ...], tmp_path: Path) -> None:
    text = Ruleset(CIDR).replace(table(*ports))
    golden = GOLDEN / f"{name}.nft"
    if os.environ.get("PANAL_REWRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    if nft := shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        checked = subprocess.run(["unshare", "-rn", nft, "-f", "-"], input=text.encode(), capture_output=True)
        if b"unshare" not in checked.stderr:
            assert checked.stderr == b""


def test_nothing_changed_nothing_is_written() -> None:
    ruleset = Ruleset(CIDR)
    ruleset.replace(table(WP, NGINX))
    assert ruleset.update(table(WP, replace(NGINX))) == ""


def test_another_endpoint_in_the_place_of_one_touches_no_chain() -> None:
    ruleset = Ruleset(CIDR)
    ruleset.replace(table(MARIADB, WP, NGINX))
    moved = replace(WP, endpoints=(WP.endpoints[0], Endpoint("10.10.0.71", 80)))
    assert ruleset.update(table(MARIADB, moved, NGINX)).splitlines() == [
        "delete element ip panal service-endpoints-tcp { 10.10.1.102 . 8080 . 1 }",
        "add element ip panal service-endpoints-tcp { 10.10.1.102 . 8080 . 1 : 10.10.0.71 . 80 }",
    ]


def test_a_chain_that_counts_is_there_while_a_service_needs_it() -> None:
    ruleset = Ruleset(CIDR)
    ruleset.replace(table(MARIADB, WP, NGINX))
    three = replace(WP, endpoints=(*WP.endpoints, Endpoint("10.10.0.71", 80)))
    more = ruleset.update(table(MARIADB, three, NGINX)).splitlines()
    added = [line for line in more if line.startswith("add chain ip panal spread-service-tcp-3-")]
    assert len(added) == 1
    less = ruleset.update(table(MARIADB, WP, NGINX)).splitlines()
    assert added[0].replace("add", "delete") in less
    without = ruleset.update(table(WP, NGINX))  # NGINX has one endpoint, as MARIADB had
    assert "delete element ip panal service-spreads" in without
    assert "delete chain" not in without


def test_services_of_equally_many_endpoints_have_counters_of_their_own() -> None:
    """With one for all, two Services that are asked in turn would each always get the same endpoint."""
    names = [WP.name._replace(service=f"s{number}") for number in range(20)]
    spreads = [rules(replace(WP, name=name), CIDR).spreads for name in names]
    assert len({spread.name for found in spreads for spread in found}) > 15


def test_two_services_that_claim_one_address_share_no_rule_and_the_second_inherits() -> None:
    first = replace(WP, name=PortName("a", "first", "", "TCP"), cluster_ips=("10.10.1.1",), external_ips=("1.1.1.1",))
    second = replace(first, name=PortName("b", "second", "", "TCP"), cluster_ips=("10.10.1.2",))
    second = replace(second, endpoints=(Endpoint("10.10.0.6", 80), WP.endpoints[1]))
    ruleset = Ruleset(CIDR)
    text = ruleset.replace(table(first, second))
    assert text.count("1.1.1.1 . 8080 . 0 : 10.10.0.5 . 80") == 1
    assert "1.1.1.1 . 8080 . 0 : 10.10.0.6 . 80" not in text
    after = ruleset.update(table(second))
    inherited = [line for line in after.splitlines() if line.startswith("add element ip panal service-endpoints-tcp")]
    assert inherited == ["add element ip panal service-endpoints-tcp { 1.1.1.1 . 8080 . 0 : 10.10.0.6 . 80 }"]


def test_names_from_the_api_cannot_leave_their_place() -> None:
    odd = replace(WP, name=PortName('a" } flush ruleset', "x;y\n", "$p" * 100, "TCP"))
    for line in Ruleset(CIDR).replace(table(odd)).splitlines():
        assert line.split()[0] in ("add", "delete")
        assert all(len(word) < 128 for word in line.split())
        assert '"' not in line
        assert ";y" not in line


def test_a_change_among_thousands_costs_what_the_change_costs() -> None:
    ports = [
        replace(
            WP, name=PortName("default", f"s{number}", "", "TCP"), cluster_ips=(f"10.20.{number >> 8}.{number % 256}",)
        )
        for number in range(3000)
    ]
    ruleset = Ruleset(CIDR)
    ruleset.replace(table(*ports))
    changed = replace(ports[7], endpoints=WP.endpoints[:1])
    started = time.perf_counter()
    text = ruleset.update(table(*ports[:7], changed, *ports[8:]))
    assert time.perf_counter() - started < 0.1
    assert len(text.splitlines()) < 12
