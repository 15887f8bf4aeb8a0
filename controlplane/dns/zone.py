"""One zone's data, kept by who said it: each source (a Service, an Ingress, the configuration) owns its records and
replaces them as a whole, so a change costs what it changes. Pure; names are in the form of `wire.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

from . import wire

Synthesize = Callable[[bytes], Mapping[int, Iterable[bytes]] | None]
"""Records of names that follow from the name alone: None when there is no such name, empty when it has no data."""


class Entry(NamedTuple):
    """A record before it gets the zone's TTL."""

    owner: bytes
    type: int
    data: bytes


class Zone:
    """A zone of which this server is the authority. `fallthrough` zones pass on what they don't know."""

    def __init__(
        self,
        origin: bytes,
        *,
        primary: bytes,
        mailbox: bytes,
        ttl: int,
        serial: int,
        fallthrough: bool = False,
        synthesize: Synthesize | None = None,
    ) -> None:
        self.origin = origin
        self.primary = primary
        self.mailbox = mailbox
        self.ttl = ttl
        self.serial = serial
        self.fallthrough = fallthrough
        self._synthesize = synthesize
        self._sources: dict[Hashable, frozenset[Entry]] = {}
        self._nodes: dict[bytes, dict[int, dict[bytes, int]]] = {}
        """Data by name and type, each with the number of sources that say so; never an empty dict inside."""
        self._below: dict[bytes, int] = {}
        """How many nodes are below a name: those without data of their own exist all the same (RFC 8020)."""

    def put(self, source: Hashable, entries: Iterable[Entry]) -> bool:
        """Make `entries` all that `source` says; True when that changed anything. Names outside are left out."""
        new = frozenset(entry for entry in entries if self._inside(entry.owner))
        old = self._sources.get(source, frozenset())
        if new == old:
            return False
        for entry in old - new:
            self._remove(entry)
        for entry in sorted(new - old):
            self._add(entry)
        if new:
            self._sources[source] = new
        else:
            del self._sources[source]
        self.serial += 1
        return True

    def drop(self, source: Hashable) -> bool:
        return self.put(source, ())

    def find(self, name: bytes) -> Mapping[int, Iterable[bytes]] | None:
        """The data at `name` by type, wildcards expanded: None when the name doesn't exist (RFC 4592)."""
        if (node := self._nodes.get(name)) is not None:
            return node
        if name in self._below or name == self.origin:
            return {}
        if self._synthesize is not None and (found := self._synthesize(name)) is not None:
            return found
        for encloser in wire.ancestry(name):
            if encloser in self._nodes or encloser in self._below or encloser == self.origin:
                return self._nodes.get(b"\x01*" + encloser)
        return None

    def at(self, name: bytes) -> Mapping[int, Iterable[bytes]]:
        """The data of this very name by type, no wildcard expanded."""
        return self._nodes.get(name, {})

    def soa(self) -> wire.Record:
        data = wire.soa_data(self.primary, self.mailbox, self.serial, self.ttl)
        return wire.Record(self.origin, wire.SOA, self.ttl, data)

    def records(self) -> Iterable[wire.Record]:
        """Everything but the SOA, in the order of names: for transfers and for people."""
        for owner in sorted(self._nodes):
            for rtype, values in sorted(self._nodes[owner].items()):
                for data in values:
                    yield wire.Record(owner, rtype, self.ttl, data)

    def _inside(self, name: bytes) -> bool:
        return any(parent == self.origin for parent in wire.ancestry(name))

    def _add(self, entry: Entry) -> None:
        node = self._nodes.get(entry.owner)
        if node is None:
            node = self._nodes[entry.owner] = {}
            for parent in self._parents(entry.owner):
                self._below[parent] = self._below.get(parent, 0) + 1
        values = node.setdefault(entry.type, {})
        values[entry.data] = values.get(entry.data, 0) + 1

    def _remove(self, entry: Entry) -> None:
        node = self._nodes[entry.owner]
        values = node[entry.type]
        values[entry.data] -= 1
        if values[entry.data]:
            return
        del values[entry.data]
        if values:
            return
        del node[entry.type]
        if node:
            return
        del self._nodes[entry.owner]
        for parent in self._parents(entry.owner):
            self._below[parent] -= 1
            if not self._below[parent]:
                del self._below[parent]

    def _parents(self, name: bytes) -> Iterable[bytes]:
        """The names between `name` and the origin, both left out."""
        for parent in wire.ancestry(name):
            if parent == self.origin:
                return
            if parent != name:
                yield parent


class Zones:
    """The zones of one server, found by name: the closest one wins."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self._zones = {zone.origin: zone for zone in zones}

    def __iter__(self) -> Iterator[Zone]:
        return iter(self._zones.values())

    def match(self, name: bytes) -> Zone | None:
        for parent in wire.ancestry(name):
            if (zone := self._zones.get(parent)) is not None:
                return zone
        return None
