"""The `hosts` directive: names and addresses as in /etc/hosts, before everything else. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from . import wire
from .wire import Query, Record, Reply

TTL = 3600
"""CoreDNS' own."""


@dataclass(frozen=True)
class Hosts:
    """What the lines say: data by name and type. `fallthrough`: names that go on to the next when they are not here."""

    data: Mapping[bytes, Mapping[int, tuple[bytes, ...]]] = field(default_factory=dict)
    fallthrough: tuple[bytes, ...] = ()
    zones: tuple[bytes, ...] = (wire.ROOT,)
    ttl: int = TTL

    def answer(self, query: Query) -> Reply | None:
        """None where it has nothing to say."""
        parents = set(wire.ancestry(query.name))
        if not parents.intersection(self.zones):
            return None
        found = self.data.get(query.name)
        if found is None:
            return None if parents.intersection(self.fallthrough) else Reply(wire.NXDOMAIN, True)
        answers = [Record(query.name, query.type, self.ttl, data) for data in found.get(query.type, ())]
        return Reply(authoritative=True, answers=answers)


def read(lines: Iterable[Iterable[str]], *, reverse: bool = True) -> dict[bytes, dict[int, tuple[bytes, ...]]]:
    """Lines of words, the address first. What is no address or name is passed over, as CoreDNS does."""
    found: dict[bytes, dict[int, tuple[bytes, ...]]] = {}

    def add(owner: bytes, kind: int, data: bytes) -> None:
        kinds = found.setdefault(owner, {})
        kinds[kind] = tuple(dict.fromkeys((*kinds.get(kind, ()), data)))

    for line in lines:
        address, *names = line
        try:
            ipaddress.ip_address(address)
            owners = [wire.name(text) for text in names]
        except ValueError:
            continue
        for owner in owners:
            add(owner, *wire.address_data(address))
            if reverse:
                add(wire.reverse_name(address), wire.PTR, owner)
    return found


def parse(text: str) -> list[list[str]]:
    """The words of a hosts file's lines, comments left out."""
    lines = (line.split("#", 1)[0].split() for line in text.splitlines())
    return [words for words in lines if len(words) > 1]
