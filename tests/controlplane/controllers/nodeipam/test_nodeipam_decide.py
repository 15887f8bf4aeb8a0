"""Stories of addresses: what a node that joins gets, and what is nobody's to have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from panal.addresses import LAN_ADDRESS
from panal.controlplane.controllers.nodeipam.decide import (
    addresses,
    asks,
    cidrs,
    free_address,
    free_cidr,
    ranges,
)

POOL = IPv4Network("10.244.0.0/16")
LAN = IPv4Network("192.168.0.0/24")
RESERVED = ranges("192.168.0.200,192.168.0.2,192.168.0.11-192.168.0.99")


def networks(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


@pytest.mark.parametrize(
    ("taken", "length", "got"),
    [
        ([], 24, "10.244.0.0/24"),
        (["10.244.0.0/24", "10.244.1.0/24"], 24, "10.244.2.0/24"),
        (["10.244.0.0/24", "10.244.2.0/24"], 24, "10.244.1.0/24"),
        (["10.244.0.0/26"], 24, "10.244.1.0/24"),
        (["10.244.0.0/26"], 26, "10.244.0.64/26"),
        (["10.0.0.0/8"], 24, None),
        (["172.16.0.0/24"], 24, "10.244.0.0/24"),
        ([], 8, None),
    ],
)
def test_parts_of_the_pod_network_never_overlap(taken: list[str], length: int, got: str | None):
    assert free_cidr(POOL, length, networks(*taken)) == got


@pytest.mark.parametrize(
    ("nodes", "got"),
    [
        (["192.168.0.100", "192.168.0.103"], "192.168.0.104"),
        (["192.168.0.199"], "192.168.0.201"),
        (["192.168.0.10"], "192.168.0.100"),
        (["192.168.0.254"], "192.168.0.1"),
        ([], "192.168.0.1"),
        (["10.0.0.1"], "192.168.0.1"),
    ],
)
def test_a_node_gets_the_address_after_the_last_one_that_is_nobodys(nodes: list[str], got: str):
    assert free_address(LAN, RESERVED, [IPv4Address(text) for text in nodes]) == got


def test_a_full_network_says_so():
    everybody = [IPv4Address(f"192.168.0.{last}") for last in range(1, 255)]
    assert free_address(LAN, RESERVED, everybody) is None


def test_a_node_asks_by_an_empty_annotation_and_has_what_was_filled_in():
    asking: dict[str, Any] = {"metadata": {"annotations": {LAN_ADDRESS: ""}}, "spec": {}, "status": {}}
    assert asks(asking)
    assert cidrs(asking) == []
    given = {"metadata": {"annotations": {LAN_ADDRESS: "192.168.0.104"}}, "spec": {"podCIDR": "10.244.4.0/24"}}
    assert not asks(given)
    assert addresses(given) == [IPv4Address("192.168.0.104")]
    assert cidrs(given) == networks("10.244.4.0/24")


def test_ranges_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="nonsense"):
        ranges("nonsense")
