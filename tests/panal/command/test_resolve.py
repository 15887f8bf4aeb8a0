"""What is chosen for the user, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from panal.command.failure import Failure
from panal.command.resolve import Wish, guess_network, name_of, read, resolve


@dataclass(frozen=True)
class Machine:
    namespaces: str | None = None
    overlay: str | None = None
    netfilter: str | None = None
    low_ports: bool = False


REFUSED = Machine("this machine refuses namespaces (Operation not permitted)", "x", "x")
WITHOUT_NFT = Machine(netfilter="the nft program is not installed")


def chosen(wish, machine):
    resolved = resolve(wish, None, machine)
    config = resolved.config
    return (config.network, config.proxy_mode, config.runtime, resolved.low_ports), " ".join(resolved.notes)


def test_the_best_that_works_is_taken_and_told():
    kinds, words = chosen(Wish(), Machine())
    assert kinds == ("netns", "netfilter", "namespaces", True)
    assert "netns" in words
    assert "netfilter" in words


def test_without_nft_connections_are_forwarded_and_the_package_is_named():
    kinds, words = chosen(Wish(), WITHOUT_NFT)
    assert kinds == ("netns", "userspace", "namespaces", True)
    assert "apt install nftables" in words


def test_where_namespaces_are_refused_everything_is_loopback():
    kinds, words = chosen(Wish(), REFUSED)
    assert kinds == ("loopback", "userspace", "plain", False)
    assert "Operation not permitted" in words


def test_what_was_asked_for_is_not_explained():
    kinds, words = chosen(Wish(network="netns", proxy_mode="userspace"), Machine())
    assert kinds == ("netns", "userspace", "namespaces", True)
    assert words == ""


@pytest.mark.parametrize(
    ("wish", "machine", "words"),
    [
        (Wish(network="netns"), REFUSED, "use --network loopback"),
        (Wish(proxy_mode="netfilter"), WITHOUT_NFT, "use --proxy-mode userspace .*apt install nftables"),
        (Wish(network="loopback", proxy_mode="netfilter"), Machine(), "use --proxy-mode userspace"),
        (Wish(nodes=0), Machine(), "the command line: --nodes: is 0"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_way_out(wish, machine, words):
    with pytest.raises(Failure, match=words):
        resolve(wish, None, machine)


def test_namespaces_for_pods_need_the_netns_network():
    document = {"apiVersion": "panal.dev/v1", "kind": "Cluster", "spec": {"runtime": "namespaces"}}
    with pytest.raises(Failure, match="runtime: plain"):
        resolve(Wish(), document, REFUSED)


def test_the_name_of_the_command_line_wins_and_must_be_one():
    assert name_of(Wish(), None) == "panal"
    assert name_of(Wish(), {"metadata": {"name": "two"}}) == "two"
    assert name_of(Wish(name="three"), {"metadata": {"name": "two"}}) == "three"
    with pytest.raises(Failure, match="--name: '' is no cluster name"):
        name_of(Wish(name=""), None)


def test_the_network_is_guessed_from_whatever_was_said():
    assert guess_network(Wish(), None) == "netns"
    assert guess_network(Wish(network="loopback"), None) == "loopback"
    assert guess_network(Wish(), {"spec": {"network": "loopback"}}) == "loopback"
    assert guess_network(Wish(network="auto"), {"spec": []}) == "netns"


def test_a_missing_file_is_a_sentence():
    with pytest.raises(Failure, match=r"No such file.*--config"):
        read(Wish(config=Path("/nowhere/cluster.yaml")))
