"""Signed updates as `nsupdate` sends them, held against the answers that follow."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import dns.tsigkeyring
import dns.update
import pytest

from panal.controlplane.dns import wire
from panal.controlplane.dns.external.hosts import CompanyZones
from panal.controlplane.dns.external.updates import Updates
from panal.controlplane.dns.server import Responder, Server

SECRET = base64.b64encode(b"a secret of thirty-two bytes....").decode()
KEYRING = dns.tsigkeyring.from_text({"panal": SECRET})


@dataclass
class Company:
    zones: CompanyZones
    responder: Responder
    port: int

    async def say(self, update: dns.update.UpdateMessage) -> str:
        return dns.rcode.to_text((await dns.asyncquery.tcp(update, "127.0.0.1", 5, port=self.port)).rcode())

    async def ask(self, name: str, kind: str = "A") -> list[str]:
        query = dns.message.make_query(name, kind)
        answer = await dns.asyncquery.udp(query, "127.0.0.1", 5, port=self.port)
        return [str(item) for rrset in answer.answer for item in rrset]


@contextlib.asynccontextmanager
async def serving(file: Path, keys: Mapping[str, str] = {"panal": SECRET}) -> AsyncIterator[Company]:
    zones = CompanyZones(["miempresa.com"], address="127.0.0.1", ttl=5, serial=1)
    zones.fixed(["menchupc=192.168.0.200"])
    responder = Responder(zones.zones)
    responder.update = Updates(zones.forward, keys, responder.changed, file)
    async with Server(responder) as server:
        await server.start("127.0.0.1", 0)
        yield Company(zones, responder, server.port)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with serving(tmp_path / "updates.json") as found:
        yield found


def update(zone: str = "miempresa.com", secret: object = KEYRING) -> dns.update.UpdateMessage:
    return dns.update.UpdateMessage(zone, keyring=secret)  # type: ignore[arg-type]


async def test_records_come_and_go_by_signed_updates(company: Company) -> None:
    added = update()
    added.add("printer", 300, "A", "192.168.0.77")
    added.add("printer", 300, "TXT", '"second floor"')
    assert await company.say(added) == "NOERROR"
    assert await company.ask("printer.miempresa.com") == ["192.168.0.77"]
    other = update()
    other.replace("printer", 300, "A", "192.168.0.78")
    assert await company.say(other) == "NOERROR"
    assert await company.ask("printer.miempresa.com") == ["192.168.0.78"]
    gone = update()
    gone.delete("printer", "A", "192.168.0.78")
    assert await company.say(gone) == "NOERROR"
    assert await company.ask("printer.miempresa.com") == []
    assert await company.ask("printer.miempresa.com", "TXT") == ['"second floor"']


async def test_who_has_no_key_changes_nothing(company: Company) -> None:
    wrong = dns.tsigkeyring.from_text({"panal": base64.b64encode(b"another").decode()})
    stranger = dns.tsigkeyring.from_text({"mallory": SECRET})
    codes = []
    for secret in (None, wrong, stranger):
        added = update(secret=secret)
        added.add("evil", 300, "A", "192.168.0.66")
        raw = added.to_wire()
        said: list[bytes] = []
        company.responder.respond(raw, said.append, tcp=True)
        codes.append(dns.rcode.to_text(dns.rcode.Rcode(said[0][3] & 15)))
    assert codes == ["REFUSED", "NOTAUTH", "NOTAUTH"]
    assert await company.ask("evil.miempresa.com") == []


async def test_hosts_of_the_configuration_and_other_zones_are_refused_and_nothing_else_of_the_message_is_done(
    company: Company,
) -> None:
    both = update()
    both.add("fine", 300, "A", "192.168.0.77")
    both.add("menchupc", 300, "A", "192.168.0.66")
    assert await company.say(both) == "REFUSED"
    assert await company.ask("fine.miempresa.com") == []
    assert await company.ask("menchupc.miempresa.com") == ["192.168.0.200"]
    elsewhere = update("example.org")
    elsewhere.add("a", 300, "A", "192.168.0.77")
    assert await company.say(elsewhere) == "NOTAUTH"
    outside = update()
    outside.add("www.example.org.", 300, "A", "192.168.0.77")
    assert await company.say(outside) == "NOTZONE"


async def test_prerequisites_are_held_against_the_zone(company: Company) -> None:
    def conditional(kind: str, *what: str) -> dns.update.UpdateMessage:
        made = update()
        getattr(made, kind)(*what)
        made.add("x", 300, "A", "192.168.0.77")
        return made

    assert await company.say(conditional("present", "x")) == "NXDOMAIN"
    assert await company.say(conditional("absent", "menchupc")) == "YXDOMAIN"
    assert await company.say(conditional("absent", "menchupc", "A")) == "YXRRSET"
    assert await company.say(conditional("present", "menchupc", "A", "192.168.0.1")) == "NXRRSET"
    assert await company.say(conditional("present", "menchupc", "TXT")) == "NXRRSET"
    assert await company.ask("x.miempresa.com") == []
    assert await company.say(conditional("present", "menchupc", "A", "192.168.0.200")) == "NOERROR"
    assert await company.ask("x.miempresa.com") == ["192.168.0.77"]


async def test_what_updates_brought_is_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "updates.json"
    async with serving(file) as company:
        added = update()
        added.add("printer", 300, "A", "192.168.0.77")
        assert await company.say(added) == "NOERROR"
    assert file.stat().st_mode & 0o777 == 0o600
    async with serving(file) as company:
        assert await company.ask("printer.miempresa.com") == ["192.168.0.77"]
        gone = update()
        gone.delete("printer")
        assert await company.say(gone) == "NOERROR"
        assert await company.ask("printer.miempresa.com") == []


async def test_nonsense_is_answered_and_harmless(company: Company) -> None:
    whole = update()
    whole.add("x", 300, "A", "192.168.0.77")
    raw = whole.to_wire()
    for end in range(13, len(raw), 7):
        said: list[bytes] = []
        company.responder.respond(raw[:end], said.append, tcp=True)
        assert all(answer[3] & 15 for answer in said)
    assert not company.zones.forward[0].at(wire.name("x.miempresa.com"))


@pytest.mark.skipif(shutil.which("nsupdate") is None, reason="needs nsupdate of bind9-dnsutils")
async def test_the_real_nsupdate_is_served(company: Company) -> None:
    words = (
        f"server 127.0.0.1 {company.port}\nzone miempresa.com\nupdate add nas.miempresa.com 60 A 192.168.0.88\nsend\n"
    )
    process = await asyncio.create_subprocess_exec(
        "nsupdate", "-v", "-y", f"hmac-sha256:panal:{SECRET}",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(words.encode()), 20)
    assert process.returncode == 0, said
    assert await company.ask("nas.miempresa.com") == ["192.168.0.88"]
