"""Machines of root's that reach each other by VXLAN, and by the relay where they can't."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import until
from lab import POD, Company, Machine, a_company

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a VXLAN device"),
    pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1 takes a minute more"),
]
PORT = 6444


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """Three machines of root's: the control plane's, and two that joined."""
    with a_company(root=True, up=["--vxlan"]) as found:
        home = found.laptop.home.parent / "tower"
        tower = found.laptop.lab.machine("tower", "10.99.0.3", home, root=True)
        found.adds(tower, "tower")
        try:
            found.cluster.apply(POD.format(name="third", node="tower"))
            found.cluster.kubectl("wait", "--for=condition=Ready", "pod/third", "--timeout=60s")
            yield found
        finally:
            tower.panal("down", "--name", "tower", check=False)


def said(company: Company, node: str, words: str) -> bool:
    address = company.cluster.get("node", node)["metadata"]["annotations"]["panal.dev/lan-address"]
    log = company.laptop.home / "panal" / "clusters" / "far" / "logs" / "relay.log"
    return f"{address} {words}" in log.read_text().splitlines()[-1] or f"{address} {words}" in log.read_text()


def drop(machine: Machine, what: str) -> None:
    """Packets of that sort don't reach the machine any more."""
    machine.lab.run(machine.holder, "nft", "add table ip noise")
    machine.lab.run(machine.holder, "nft", "add chain ip noise in { type filter hook input priority 0; }")
    machine.lab.run(machine.holder, "nft", f"add rule ip noise in {what} drop")


def each_way(company: Company) -> None:
    """Pods of the two machines that joined, and of the first one, reach each other."""
    company.both_ways()
    address = {pod: company.cluster.get("pod", pod)["status"]["podIP"] for pod in ("near", "far", "third")}
    assert company.fetch("third", f"http://{address['far']}:8000/who") == "far\n\n"
    assert company.fetch("third", f"http://{address['near']}:8000/who") == "near\n\n"
    assert company.fetch("far", "http://third/who") == "third\n\n"


def test_machines_of_roots_reach_each_other_directly(company: Company) -> None:
    each_way(company)
    until(lambda: said(company, "tower", "is reached directly"), seconds=20)
    assert company.cluster.get("node", "laptop")["metadata"]["annotations"]["panal.dev/underlay-address"] == "10.99.0.2"


def test_what_is_reached_directly_needs_no_relay(company: Company) -> None:
    until(lambda: said(company, "tower", "is reached directly"), seconds=20)
    drop(company.laptop, f"tcp sport {PORT}")
    try:
        for _ in range(3):
            each_way(company)
    finally:
        company.laptop.calm()


def test_where_packets_do_not_arrive_all_is_relayed_until_they_do_again(company: Company) -> None:
    drop(company.laptop, f"udp dport {PORT}")
    try:
        until(lambda: said(company, "tower", "is relayed again"), seconds=40)
        until(lambda: each_way(company) is None, seconds=40)
    finally:
        company.laptop.calm()
    log = company.laptop.home / "panal" / "clusters" / "far" / "logs" / "relay.log"
    until(lambda: log.read_text().count("is reached directly") > log.read_text().count("is relayed again"), seconds=30)
    until(lambda: each_way(company) is None, seconds=40)


def test_an_ordinary_users_machine_is_relayed_in_the_same_cluster(company: Company) -> None:
    machine = company.laptop.lab.machine("guest", "10.99.0.4", Path(company.laptop.home.parent) / "guest")
    company.adds(machine, "guest")
    try:
        log = machine.home / "panal" / "clusters" / "guest" / "logs" / "relay.log"
        assert "everything is relayed" in log.read_text()
        company.cluster.apply(POD.format(name="fourth", node="guest"))
        company.cluster.kubectl("wait", "--for=condition=Ready", "pod/fourth", "--timeout=60s")
        until(lambda: company.fetch("third", "http://fourth/who") == "fourth\n\n", seconds=30)
    finally:
        machine.panal("down", "--name", "guest", check=False)
