"""Clusters announce themselves by multicast DNS (RFC 6762, 6763), and machines that join look for them.

What is announced is no secret, and trusted by nobody: the API server's address and the hash of its CA. Whoever answers
must show that it knows the token, as at an address that was typed.

    python -P -m panal.agents.join FOLDER     announce the cluster of that folder until its keeper ends
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from panal.config import ClusterConfig, load_cluster
from panal.paths import ClusterPaths

from .refused import Refused

SERVICE = "_panal._tcp.local."
SECONDS = 6.0
"""How long clusters are looked for: they answer within one or two."""
SETTLE = 0.7
"""How long others are waited for after the first has answered."""


@dataclass(frozen=True)
class Announced:
    """One cluster that says it is there."""

    name: str
    endpoint: str
    pin: str


def chosen(found: Sequence[Announced], pin: str | None) -> Announced:
    """The one to join. Raises Refused when there is none, or more than one."""
    fitting = sorted({each for each in found if pin is None or each.pin == pin}, key=lambda each: each.endpoint)
    if len({each.pin for each in fitting}) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(f"{each.name} ({each.endpoint})" for each in fitting)
        raise Refused(f"several clusters announce themselves here: {names}; name one by its ADDRESS.")
    if found:
        raise Refused("clusters announce themselves here, but none with the CA hash you named; check the join line.")
    raise Refused(
        f"no cluster announced itself within {SECONDS:.0f} s; see that it was started with `panal up --listen` in this "
        "network, or name its ADDRESS: some networks and firewalls keep multicast away."
    )


def find(pin: str | None) -> str:
    """The endpoint of the cluster that announces itself, on any of this machine's networks. Raises Refused."""
    from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

    found: list[Announced] = []
    first = threading.Event()

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is not ServiceStateChange.Removed:
            info = zeroconf.get_service_info(service_type, name, timeout=2000)
            if info is not None and (each := _read(info)) is not None:
                found.append(each)
                if pin is None or each.pin == pin:
                    first.set()

    try:
        zeroconf = Zeroconf()
    except OSError as error:
        raise Refused(f"clusters can't be looked for here ({error.strerror}); name the cluster's ADDRESS.") from error
    try:
        browser = ServiceBrowser(zeroconf, SERVICE, handlers=[changed])
        if first.wait(SECONDS) and pin is None:
            time.sleep(SETTLE)
        browser.cancel()
    finally:
        zeroconf.close()
    return chosen(list(found), pin).endpoint


def _read(info: Any) -> Announced | None:
    texts = {
        key.decode(errors="replace"): (value or b"").decode(errors="replace")
        for key, value in (info.properties or {}).items()
    }
    addresses = info.parsed_addresses()
    if not addresses or not info.port:
        return None
    return Announced(texts.get("cluster", "?")[:63], f"{addresses[0]}:{info.port}", texts.get("ca", "")[:80])


def announcement(config: ClusterConfig, pin: str) -> Any:
    """The zeroconf record of a cluster that listens."""
    from zeroconf import ServiceInfo

    assert config.listen is not None
    host = socket.gethostname().partition(".")[0] or "host"
    return ServiceInfo(
        SERVICE,
        f"{config.name}-{pin[7:15]}.{SERVICE}",
        addresses=[socket.inet_aton(config.listen.advertise)],
        port=config.listen.api_port,
        properties={"cluster": config.name, "ca": pin},
        server=f"{host}-{pin[7:15]}.local.",
    )


def announce(paths: ClusterPaths) -> None:
    """Until standard input ends: the other side of it is the keeper."""
    from zeroconf import NonUniqueNameException, Zeroconf

    from panal.bootstraptoken import pin

    config = load_cluster(paths.config)
    authority = paths.pki / "ca.crt"
    while not authority.exists() or not authority.read_bytes():  # made while the cluster starts
        time.sleep(0.2)
    assert config.listen is not None
    interfaces = [config.listen.advertise]
    zeroconf = Zeroconf(interfaces=interfaces)
    try:
        zeroconf.register_service(announcement(config, pin(authority.read_bytes())), allow_name_change=True)
    except NonUniqueNameException as error:
        sys.stderr.write(f"mdns: {error}\n")
    sys.stdin.buffer.read()
    zeroconf.unregister_all_services()
    zeroconf.close()
