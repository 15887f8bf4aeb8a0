"""From a Corefile's settings to what serves them: upstreams, hosts files and zones, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from panal.addresses import real_port

from . import hosts, wire
from .corefile import CorefileError, parse
from .forward import MAX_IN_FLIGHT, Forwarder, Upstream, resolvers, upstream
from .plan import Plan
from .settings import Forward, ServerBlock, Settings, read
from .zones import ClusterZones

RESOLV_CONF = "/etc/resolv.conf"
MAX_HOSTS = 1 << 22
"""Bytes of a hosts file that are read."""


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Raises OSError, CorefileError."""
    return read(parse(path.read_text(errors="replace"), environ))


def plans(
    settings: Settings, cluster: ClusterZones | None, environ: Mapping[str, str], own: Iterable[str]
) -> dict[bytes, Plan]:
    """By zone. `own`: addresses that are this server's, which it never forwards to. Raises CorefileError, OSError."""
    found: dict[bytes, Plan] = {}
    port = settings.blocks[0].port
    own = set(own)
    for block in settings.blocks:
        if block.port != port:
            raise CorefileError(f"port {block.port}: all zones are served on one port, which is {port}")
        plan = _plan(block, cluster, Path(environ.get("PANAL_ROOT") or "/"), own)
        for zone in block.zones:
            if zone in found:
                raise CorefileError(f"cannot serve dns://{wire.text(zone)}:{port} - it is already defined")
            found[zone] = replace(plan, zone=_shown(zone))
    return found


def _plan(block: ServerBlock, cluster: ClusterZones | None, root: Path, own: set[str]) -> Plan:
    from .zone import Zones

    return Plan(
        zones=cluster.zones if block.kubernetes is not None and cluster is not None else Zones(()),
        forwarder=_forwarder(block.forward, block, root, own) if block.forward is not None else None,
        hosts=_hosts(block, root),
        rewrites=block.rewrites,
        log=block.log,
        errors=block.errors,
        rotate=block.loadbalance,
    )


def _hosts(block: ServerBlock, root: Path) -> hosts.Hosts | None:
    if block.hosts is None or not block.hosts_file:
        return block.hosts
    with open(inside(root, block.hosts_file), errors="replace") as file:
        written = hosts.read(hosts.parse(file.read(MAX_HOSTS)))
    merged = {
        name: {**written.get(name, {}), **block.hosts.data.get(name, {})} for name in {*written, *block.hosts.data}
    }
    return replace(block.hosts, data=merged)


def _forwarder(forward: Forward, block: ServerBlock, root: Path, own: set[str]) -> Forwarder:
    found: list[Upstream] = []
    for word in forward.to:
        try:
            if word.startswith("/"):
                found += [upstream(text, lambda port: port) for text in resolvers(inside(root, word), exclude=own)]
            else:
                found.append(upstream(word, real_port))
        except ValueError as error:
            raise CorefileError(f"plugin/forward: not an IP address or file: {word!r}") from error
    return Forwarder(
        {forward.zone: tuple(found)},
        caching=block.cache,
        policy=forward.policy,
        max_concurrent=forward.max_concurrent or MAX_IN_FLIGHT,
        excepted=forward.excepted,
        force_tcp=forward.force_tcp,
    )


def inside(root: Path, name: str) -> Path:
    """Where a file of the machine or of a volume is: in the plain runtime volumes lie below $PANAL_ROOT."""
    below = root / os.path.normpath(name).lstrip("/")
    return below if below.exists() else Path(name)


def _shown(zone: bytes) -> str:
    text = wire.text(zone)
    return text if text == "." else text + "."
