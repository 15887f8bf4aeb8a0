"""What to say to a question: a pure function of the query and the zones, as CoreDNS' kubernetes plugin answers.

None means that the question is not ours: the server forwards it.
"""

from __future__ import annotations

from . import wire
from .wire import Query, Record, Reply
from .zone import Zone, Zones

MAX_ALIASES = 8
"""How many CNAMEs in a row are followed: more is a loop or a mistake."""


def refuse(query: Query) -> Reply | None:
    """The error a query gets for its form, whatever it asks; None when it may be answered."""
    if query.opcode:
        return Reply(wire.NOTIMP)
    if query.edns_version:
        return Reply(wire.BADVERS)
    if query.klass != wire.IN or query.type == wire.AXFR:
        return Reply(wire.REFUSED)
    return None


def answer(query: Query, zones: Zones) -> Reply | None:
    """The reply from the zones, or None where they have nothing to say about the name."""
    zone = zones.match(query.name)
    if zone is None:
        return None
    found = zone.find(query.name)
    if found is None:
        return None if zone.fallthrough else Reply(wire.NXDOMAIN, True, authority=(zone.soa(),))
    return _existing(query, zone, zones)


def _existing(query: Query, zone: Zone, zones: Zones) -> Reply | None:
    answers: list[Record] = []
    name, home = query.name, zone
    for _ in range(MAX_ALIASES):
        found = home.find(name)
        if found is None:
            if home.fallthrough:
                return Reply(authoritative=True, answers=answers, chase=name)
            return Reply(wire.NXDOMAIN, True, answers, authority=(home.soa(),))
        if query.type == wire.SOA and name == home.origin:
            return Reply(authoritative=True, answers=[*answers, home.soa()])
        if data := found.get(query.type):
            answers += [Record(name, query.type, home.ttl, value) for value in data]
            return Reply(authoritative=True, answers=answers, additional=_additional(query.type, answers, zones))
        alias = next(iter(found.get(wire.CNAME, ())), None)
        if alias is None:
            if home.fallthrough and not answers:
                return None
            return Reply(authoritative=True, answers=answers, authority=(home.soa(),))
        answers.append(Record(name, wire.CNAME, home.ttl, alias))
        target_zone = zones.match(alias)
        if target_zone is None:
            return Reply(authoritative=True, answers=answers, chase=alias)
        name, home = alias, target_zone
    return Reply(wire.SERVFAIL)


def _additional(qtype: int, answers: list[Record], zones: Zones) -> list[Record]:
    """The addresses of the hosts that SRV, NS and MX records name, so that nobody has to ask again."""
    if qtype == wire.SRV:
        targets = [wire.srv_target(record.data) for record in answers if record.type == wire.SRV]
    elif qtype == wire.NS:
        targets = [record.data for record in answers if record.type == wire.NS]
    else:
        return []
    out = []
    for target in dict.fromkeys(targets):
        if (zone := zones.match(target)) is None or (found := zone.find(target)) is None:
            continue
        out += [Record(target, kind, zone.ttl, data) for kind in (wire.A, wire.AAAA) for data in found.get(kind, ())]
    return out
