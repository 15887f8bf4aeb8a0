"""A DNS server that takes updates (RFC 2136), signed (RFC 8945): its zone is read by transfer, its records written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..external.endpoints import Endpoint
from .changes import Changes, Current

SECONDS = 10.0
ALGORITHMS = ("hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
BATCH = 50
"""Names changed by one message: it must fit into 64 KiB."""


class Refused(Exception):
    """The server did not do it; the message says what it answered."""


@dataclass(frozen=True)
class Key:
    """A TSIG key; `secret` in Base64."""

    name: str
    secret: str = field(repr=False)
    algorithm: str = "hmac-sha256"


class Server:
    """One zone of one server."""

    def __init__(self, host: str, port: int, zone: str, key: Key | None) -> None:
        """Raises ValueError for a key that is none."""
        import dns.tsig
        import dns.tsigkeyring

        self._host, self._port, self._zone = host, port, zone.rstrip(".").lower()
        self._signed: dict[str, Any] = {}
        if key is not None:
            try:
                keyring = dns.tsigkeyring.from_text({key.name: key.secret})
            except Exception as error:  # binascii's and dnspython's own
                raise ValueError(f"TSIG key {key.name}: its secret is not Base64") from error
            if key.algorithm.rstrip(".") not in ALGORITHMS:
                raise ValueError(f"TSIG key {key.name}: {key.algorithm} is none of {', '.join(ALGORITHMS)}")
            algorithm = "hmac-md5.sig-alg.reg.int" if key.algorithm == "hmac-md5" else key.algorithm
            self._signed = {"keyring": keyring, "keyname": key.name, "keyalgorithm": algorithm}

    async def read(self) -> Current:
        """The whole zone. Raises Refused."""
        import dns.asyncquery
        import dns.exception
        import dns.xfr
        import dns.zone

        zone = dns.zone.Zone(self._zone + ".", relativize=False)
        try:
            query, _ = dns.xfr.make_query(zone, **self._signed)
            await dns.asyncquery.inbound_xfr(
                self._host, zone, query, port=self._port, timeout=SECONDS, lifetime=SECONDS
            )
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise Refused(f"transfer of {self._zone}: {error or type(error).__name__}") from error
        return Current({
            (_plain(name), kind): (tuple(sorted(_shown(item) for item in rdataset)), int(rdataset.ttl))
            for name, node in zone.nodes.items()
            for rdataset in node.rdatasets
            if (kind := _kind(rdataset)) is not None
        })  # fmt: skip

    async def write(self, changes: Changes) -> None:
        """All of it, in as many messages as needed. Raises Refused."""
        steps = [*((False, item) for item in changes.delete), *((True, item) for item in changes.put)]
        for at in range(0, len(steps), BATCH):
            await self._update(steps[at : at + BATCH])

    async def _update(self, steps: Sequence[tuple[bool, Endpoint]]) -> None:
        import dns.asyncquery
        import dns.exception
        import dns.rcode
        import dns.update

        update = dns.update.UpdateMessage(self._zone + ".", **self._signed)
        for comes, endpoint in steps:
            update.delete(endpoint.name + ".", endpoint.type)
            for target in endpoint.targets if comes else ():
                update.add(endpoint.name + ".", endpoint.ttl, endpoint.type, _data(endpoint.type, target))
        try:
            answer = await dns.asyncquery.tcp(update, self._host, timeout=SECONDS, port=self._port)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise Refused(f"update of {self._zone}: {error or type(error).__name__}") from error
        if answer.rcode() != dns.rcode.NOERROR:
            raise Refused(f"update of {self._zone}: {dns.rcode.to_text(answer.rcode())}")


def _kind(rdataset: Any) -> str | None:
    import dns.rdatatype

    kind = dns.rdatatype.to_text(rdataset.rdtype)
    return kind if kind in ("A", "AAAA", "CNAME", "TXT") else None


def _plain(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower()


def _shown(rdata: Any) -> str:
    """As an Endpoint has it."""
    if hasattr(rdata, "strings"):
        return b"".join(rdata.strings).decode("utf-8", "replace")
    return str(rdata.to_text()).rstrip(".").lower() if hasattr(rdata, "target") else str(rdata.to_text())


def _data(kind: str, target: str) -> str:
    """As the presentation format has it."""
    if kind == "TXT":
        raw = target.encode()
        parts = [raw[at : at + 255] for at in range(0, len(raw), 255)] or [b""]
        return " ".join('"' + "".join(_escaped(byte) for byte in part) + '"' for part in parts)
    return target + "." if kind == "CNAME" else target


def _escaped(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}"
