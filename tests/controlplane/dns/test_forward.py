"""Which resolver a name goes to, and what is kept for how long."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import dns.message
import pytest

from panal.controlplane.dns import forward, wire
from panal.controlplane.dns.forward import Forwarder, Upstream, parse_forwards, resolvers


def test_the_closest_zone_decides_and_the_default_serves_the_rest() -> None:
    table = parse_forwards(["miempresa.com=192.168.0.2", "lab.miempresa.com=10.0.0.1:5353,10.0.0.2"], ["1.1.1.1"])
    forwarder = Forwarder(table)

    def hosts(name: str) -> list[tuple[str, int]]:
        return [(up.host, up.port) for up in forwarder.choose(wire.name(name), 0)]

    assert hosts("web1.miempresa.com") == [("192.168.0.2", 53)]
    assert hosts("x.lab.miempresa.com") == [("10.0.0.1", 5353), ("10.0.0.2", 53)]
    assert hosts("example.org") == [("1.1.1.1", 53)]


def test_an_address_without_a_zone_serves_everything() -> None:
    table = parse_forwards(["192.168.0.2", "[fd00::1]:5353", "fd00::2"], ["1.1.1.1"])
    assert [(up.host, up.port) for up in table[wire.ROOT]] == [("192.168.0.2", 53), ("fd00::1", 5353), ("fd00::2", 53)]


@pytest.mark.parametrize("bad", ["miempresa.com=dns.example.org", "a..b=1.1.1.1", "1.1.1.1:x"])
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_forwards([bad], [])


def test_resolvers_of_the_machine_are_read_without_our_own_addresses(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search a b\nnameserver 10.0.0.1\n# nameserver 9.9.9.9\nnameserver nonsense\nnameserver 10.0.0.2\n")
    assert resolvers(conf, exclude=["10.0.0.1"]) == ["10.0.0.2"]
    assert resolvers(tmp_path / "absent") == []


async def test_answers_are_kept_as_long_as_their_ttl_and_count_down(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def exchange(upstream: Upstream, name: bytes, qtype: int, force_tcp: bool = False) -> bytes:
        asked.append(name)
        message = dns.message.make_response(dns.message.make_query(wire.text(name), "A"))
        message.answer.append(dns.rrset.from_text(wire.text(name) + ".", 20, "IN", "A", "10.0.0.1"))
        return message.to_wire()

    monkeypatch.setattr(forward, "_exchange", exchange)
    now = 100.0
    forwarder = Forwarder({wire.ROOT: (Upstream("192.0.2.1"),)}, clock=lambda: now)
    name = wire.name("a.example.org")
    await forwarder.resolve(name, wire.A)
    now = 115.0
    assert dns.message.from_wire(await forwarder.resolve(name, wire.A)).answer[0].ttl == 5
    now = 120.0
    assert dns.message.from_wire(await forwarder.resolve(name, wire.A)).answer[0].ttl == 20
    assert len(asked) == 2


def test_one_silence_may_be_the_questions_fault_but_two_are_the_upstreams() -> None:
    upstream = Upstream("192.0.2.1")
    upstream.failed(10.0, silent=True)
    assert upstream.away_until == 0
    upstream.failed(12.0, silent=True)
    assert upstream.away_until == 12.0 + forward.SILENT_FOR
    refusing = Upstream("192.0.2.1")
    refusing.failed(10.0, silent=False)
    assert refusing.away_until > 10


UNREACHABLE = """
import asyncio, subprocess, time
from panal.controlplane.dns import wire
from panal.controlplane.dns.forward import Forwarder, Unreachable, Upstream

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
chain = "type filter hook input priority 0; udp dport 53 reject with icmp type net-unreachable"
rules = f"table ip t {{\\n chain c {{\\n {chain}\\n }}\\n}}\\n"
subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

async def main():
    start = time.monotonic()
    try:
        await Forwarder({wire.ROOT: (Upstream("127.0.0.2"),)}).resolve(wire.name("a.example.org"), wire.A)
    except Unreachable:
        print("unreachable", time.monotonic() - start < 1)

asyncio.run(main())
"""


def test_an_upstream_to_which_no_router_knows_a_way_is_left_at_once() -> None:
    """A router's ICMP, unlike that of a closed port, reaches a UDP socket only when it asks to hear of it."""
    isolated = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("nft") is None or subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs nft and namespaces")
    done = subprocess.run([*isolated, sys.executable, "-c", UNREACHABLE], capture_output=True, text=True, check=False)
    assert done.stdout == "unreachable True\n", done.stderr
