"""Who wrote a record: ExternalDNS' TXT records beside it. Pure."""

from __future__ import annotations

import re

_OWNER = re.compile(r'(?:^|,)external-dns/owner=([^,"]*)')
HERITAGE = "heritage=external-dns"


def txt_name(kind: str, name: str, prefix: str = "") -> str:
    """Where the owner of a name's records of one type is told: `a-web.example.org`."""
    return f"{prefix}{kind.lower()}-{name}"


def txt_value(owner: str, resource: str) -> str:
    return f"{HERITAGE},external-dns/owner={owner},external-dns/resource={resource}"


def owner_of(value: str) -> str | None:
    """None for a TXT record that is about something else."""
    text = value.strip('"')
    found = _OWNER.search(text) if text.startswith(HERITAGE) else None
    return found[1] if found else None
