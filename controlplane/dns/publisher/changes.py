"""What has to be written so that a zone holds what the cluster asks for, and nothing of others is touched. Pure.

A name's records of one type are ours when a TXT record says so. What somebody else wrote is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..external.endpoints import Endpoint
from ..external.ownership import owner_of, txt_name, txt_value

Policy = Literal["sync", "upsert-only", "create-only"]
Key = tuple[str, str]
"""Name and type."""


@dataclass(frozen=True)
class Current:
    """A zone's content."""

    records: Mapping[Key, tuple[tuple[str, ...], int]]
    """Targets, sorted, and TTL."""

    def owner(self, key: Key, prefix: str) -> str | None:
        texts, _ = self.records.get((txt_name(key[1], key[0], prefix), "TXT"), ((), 0))
        return next((owner for text in texts if (owner := owner_of(text)) is not None), None)


@dataclass
class Changes:
    """In this order: what goes, then what comes."""

    delete: list[Endpoint] = field(default_factory=list)
    put: list[Endpoint] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    """Names that somebody else has."""

    def __bool__(self) -> bool:
        return bool(self.delete or self.put)


def changes(
    desired: Iterable[Endpoint], current: Current, *, owner: str, policy: Policy, ttl: int, prefix: str = ""
) -> Changes:
    """`ttl` is that of records whose objects ask for none."""
    found = Changes()
    wanted = _merged(desired)
    for key, endpoint in sorted(wanted.items()):
        if (reason := _conflict(key, current, owner, prefix)) is not None:
            found.conflicts.append(reason)
            continue
        have = current.records.get(key)
        full = replace(endpoint, ttl=endpoint.ttl or ttl)
        if have is None or (have != (full.targets, full.ttl) and policy != "create-only"):
            found.put += [full, _text(full, owner, prefix)]
    if policy == "sync":
        for key, (targets, _) in sorted(current.records.items()):
            if key[1] in ("A", "AAAA", "CNAME", "TXT") and key not in wanted and current.owner(key, prefix) == owner:
                gone = Endpoint(key[0], key[1], targets)
                found.delete += [gone, _text(gone, owner, prefix)]
    return found


def _merged(desired: Iterable[Endpoint]) -> dict[Key, Endpoint]:
    """One Endpoint a name and type: several objects may lead a name to several addresses; an alias stands alone."""
    merged: dict[Key, Endpoint] = {}
    for endpoint in sorted(desired, key=lambda item: (item.resource, item)):
        key = (endpoint.name, endpoint.type)
        if (have := merged.get(key)) is None:
            merged[key] = endpoint
        elif endpoint.type != "CNAME":
            targets = tuple(sorted({*have.targets, *endpoint.targets}))
            merged[key] = replace(have, targets=targets)
    addressed = {name for name, kind in merged if kind != "CNAME"}
    return {key: endpoint for key, endpoint in merged.items() if key[1] != "CNAME" or key[0] not in addressed}


def _conflict(key: Key, current: Current, owner: str, prefix: str) -> str | None:
    """Why the records of this name and type can't be ours."""
    for other in ("A", "AAAA", "CNAME", "TXT"):
        alias_involved = "CNAME" in (other, key[1])
        if (other == key[1] or alias_involved) and (key[0], other) in current.records:
            holder = current.owner((key[0], other), prefix)
            if holder != owner:
                return f"{key[0]} {other} is not ours: its owner is {holder or 'not told'}"
    return None


def _text(endpoint: Endpoint, owner: str, prefix: str) -> Endpoint:
    name = txt_name(endpoint.type, endpoint.name, prefix)
    return Endpoint(name, "TXT", (txt_value(owner, endpoint.resource),), endpoint.ttl, endpoint.resource)
