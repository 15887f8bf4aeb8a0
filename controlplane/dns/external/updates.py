"""Dynamic updates (RFC 2136) of the company's zones, signed with TSIG (RFC 8945): what `nsupdate` and ExternalDNS send.

An update changes only what updates brought: hosts of the configuration and the cluster's names are refused. Everything
of a message is done or nothing. What was brought is kept in a file, for the server may end at any time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from .. import wire
from ..zone import Entry, Zone

if TYPE_CHECKING:
    import dns.message

TYPES = frozenset({"A", "AAAA", "CNAME", "TXT", "SRV", "MX", "PTR", "CAA"})
MOST = 10_000
"""Records."""
_SOURCE = "update"

_log = logging.getLogger(__name__)


class Updates:
    """Called with the bytes of an update, gives the answer's; None: it deserves none."""

    def __init__(
        self, zones: Iterable[Zone], keys: Mapping[str, str], changed: Callable[[], None], file: Path | None = None
    ) -> None:
        """`keys`: secrets in Base64 by name. Raises ValueError for one that is none."""
        import dns.tsigkeyring

        try:
            self._keyring = dns.tsigkeyring.from_text(dict(keys))
        except Exception as error:  # binascii's and dnspython's own
            raise ValueError(f"a key's secret is not Base64: {error}") from error
        self._zones = {zone.origin: zone for zone in zones}
        self._changed, self._file = changed, file
        self._entries: frozenset[Entry] = frozenset(_read(file))
        for zone in self._zones.values():
            zone.put(_SOURCE, self._entries)

    def __call__(self, data: bytes) -> bytes | None:
        import dns.exception
        import dns.message
        import dns.rcode
        import dns.tsig

        try:
            message = dns.message.from_wire(data, keyring=self._keyring)
        except (dns.message.UnknownTSIGKey, dns.tsig.PeerError, dns.tsig.BadTime, dns.tsig.BadSignature) as error:
            _log.warning("an update is refused: %s", error or type(error).__name__)
            return wire.pack_error(data, int(dns.rcode.NOTAUTH))
        except (dns.exception.DNSException, ValueError):
            return wire.pack_error(data, wire.FORMERR)
        if not message.had_tsig:
            _log.warning("an update without a signature is refused")
            return wire.pack_error(data, wire.REFUSED)
        answer = dns.message.make_response(message)
        answer.set_rcode(dns.rcode.Rcode(self._do(message)))
        return answer.to_wire()

    def _do(self, message: dns.message.Message) -> int:
        """What became of it, as a response code."""
        import dns.rcode

        origin = _wire(message.sections[0][0].name) if message.sections[0] else b""
        zone = self._zones.get(origin)
        if zone is None:
            return int(dns.rcode.NOTAUTH)
        for rrset in message.sections[1]:
            if missed := _missed(zone, rrset):
                return missed
        wanted = set(self._entries)
        for rrset in message.sections[2]:
            if code := self._step(zone, wanted, rrset):
                return code
        if len(wanted) > MOST:
            return wire.REFUSED
        self._put(frozenset(wanted), str(message.keyname))
        return wire.NOERROR

    def _step(self, zone: Zone, wanted: set[Entry], rrset: Any) -> int:
        """One line of the update, done to `wanted`."""
        import dns.rcode
        import dns.rdataclass
        import dns.rdatatype

        owner, kind = _wire(rrset.name), int(rrset.rdtype)
        if not any(parent == zone.origin for parent in wire.ancestry(owner)):
            return int(dns.rcode.NOTZONE)
        told = {Entry(owner, kind, _data(rdata)) for rdata in rrset}
        if rrset.deleting is not None:
            every = rrset.rdtype == dns.rdatatype.ANY
            if rrset.deleting == dns.rdataclass.ANY:
                told = {entry for entry in wanted if entry.owner == owner and (every or entry.type == kind)}
            wanted -= told
            return 0
        if dns.rdatatype.to_text(rrset.rdtype) not in TYPES or self._is_anothers(zone, owner):
            return wire.REFUSED
        aliased = kind == wire.CNAME
        if any(entry.owner == owner and (entry.type == wire.CNAME) != aliased for entry in wanted):
            return 0  # RFC 2136, 3.4.2.2: silently, an alias must be alone
        if aliased:
            wanted -= {entry for entry in wanted if entry.owner == owner}
        wanted |= told
        return 0

    def _is_anothers(self, zone: Zone, owner: bytes) -> bool:
        """Whether the name has data that no update brought."""
        own = {(entry.type, entry.data) for entry in self._entries if entry.owner == owner}
        there = zone.at(owner)
        return any((kind, data) not in own for kind, values in there.items() for data in values)

    def _put(self, entries: frozenset[Entry], key: str) -> None:
        if entries == self._entries:
            return
        if self._file is not None:
            _write(self._file, entries)
        _log.info("updated with key %s: %d records more, %d fewer", key.rstrip("."),
                  len(entries - self._entries), len(self._entries - entries))  # fmt: skip
        self._entries = entries
        for zone in self._zones.values():
            zone.put(_SOURCE, entries)
        self._changed()


def _missed(zone: Zone, rrset: Any) -> int:
    """The response code of a prerequisite that does not hold (RFC 2136, 3.2); 0 when it does."""
    import dns.rcode
    import dns.rdataclass
    import dns.rdatatype

    there = zone.at(_wire(rrset.name))
    values = there.get(int(rrset.rdtype), ())
    if rrset.rdtype == dns.rdatatype.ANY:
        if rrset.deleting == dns.rdataclass.ANY:
            return 0 if there else int(dns.rcode.NXDOMAIN)
        return int(dns.rcode.YXDOMAIN) if there else 0
    if rrset.deleting == dns.rdataclass.NONE:
        return int(dns.rcode.YXRRSET) if values else 0
    if rrset.deleting == dns.rdataclass.ANY:
        return 0 if values else int(dns.rcode.NXRRSET)
    return 0 if {_data(rdata) for rdata in rrset} == set(values) else int(dns.rcode.NXRRSET)


def _wire(name: Any) -> bytes:
    return bytes(name.canonicalize().to_wire())


def _data(rdata: Any) -> bytes:
    return bytes(rdata.to_digestable())


def _read(file: Path | None) -> Iterable[Entry]:
    if file is None or not file.exists():
        return ()
    found = orjson.loads(file.read_bytes())
    return [Entry(bytes.fromhex(owner), kind, bytes.fromhex(data)) for owner, kind, data in found]


def _write(file: Path, entries: Iterable[Entry]) -> None:
    """Raises OSError; the file is whole at any time."""
    new = file.with_name(f".{file.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(orjson.dumps([(entry.owner.hex(), entry.type, entry.data.hex()) for entry in sorted(entries)]))
    new.replace(file)
