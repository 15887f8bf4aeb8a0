"""The `machine` network: this machine (or container, or VM) is one host of the LAN, with the address it has already.

Its pods get namespaces as in `netns` (podnetns.py); the other nodes' pods are routed by way of these nodes, which must
be on the same LAN; and what pods send to anybody else carries the node's address, for nobody else knows theirs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network

from .contract import Space
from .netlink import Netlink
from .netns import NODE_SYSCTLS, write_sysctls
from .routes import Routes, changes

PROTOCOL = 181
"""The mark of our routes; not in use in iproute2's rt_protos."""
TABLE = "panal-machine"
NFT_SECONDS = 10.0

SYSCTLS = {
    **NODE_SYSCTLS,
    "net/ipv4/conf/all/rp_filter": "0",  # answers to a redirected connection may come by another device
    "net/ipv4/conf/default/rp_filter": "0",
}


class NotThisMachine(OSError):
    """The host's address is none of this machine's, or its network can't be set up; the message is a sentence."""


class MachineLAN:
    """A LAN that is there already: hosts are only checked, nodes made to forward."""

    def __init__(self, pod_cidr: str, environ: Mapping[str, str]) -> None:
        self._pods = str(IPv4Network(pod_cidr))
        self._environ = environ

    async def add_host(self, name: str, address: str, *, reaches_pods: bool = False) -> Space:
        """Raises NotThisMachine. Nobody here needs a way to pods: these come with their node's address."""
        with Netlink() as netlink:
            _check(netlink, name, address)
        return Space(address, None)

    async def add_node(self, name: str, address: str, pod_cidr: str) -> Space:
        """Raises NotThisMachine."""
        with Netlink() as netlink:
            _check(netlink, name, address)
        try:
            write_sysctls(SYSCTLS)
        except OSError as error:
            raise NotThisMachine(
                f"this machine can't forward its pods' packets: its network's settings can't be written "
                f"({error.strerror}); a container needs the capability NET_ADMIN."
            ) from error
        from .capability import find_nft

        if (nft := find_nft(self._environ)) is not None:
            _load(nft, masquerade(self._pods))
        return Space(address, None)

    def close(self) -> None:
        """What is set up stays."""


def masquerade(pods: str) -> str:
    """The nft rules: what pods send to others than pods leaves with the node's address."""
    return (
        f"add table ip {TABLE}\nflush table ip {TABLE}\ntable ip {TABLE} {{\n"
        "  chain leaving {\n    type nat hook postrouting priority srcnat - 1\n"
        f"    ip saddr {pods} ip daddr != {pods} masquerade\n  }}\n}}\n"
    )


def set_routes(want: Routes, node_address: str) -> dict[str, str]:
    """Make these our routes, and no others. What was refused, with the reason. Raises OSError."""
    refused: dict[str, str] = {}
    with Netlink() as netlink:
        index = netlink.device_of(node_address)
        add, forget = changes(dict(netlink.routes(PROTOCOL)), want)
        for cidr in forget:
            network = IPv4Network(cidr)
            netlink.delete_route(str(network.network_address), network.prefixlen, PROTOCOL)
        netlink.flush()
        for cidr, gateway in add.items():
            network = IPv4Network(cidr)
            netlink.add_route(
                str(network.network_address), network.prefixlen, index=index, gateway=gateway, protocol=PROTOCOL
            )
            try:
                netlink.flush()
            except OSError as error:
                refused[cidr] = f"{gateway}: {error.strerror}"
    return refused


def _check(netlink: Netlink, name: str, address: str) -> None:
    try:
        netlink.device_of(address)
    except OSError as error:
        raise NotThisMachine(
            f"this machine is not {name}: it has no address {address}; give it that one, or start another host here."
        ) from error


def _load(nft: str, rules: str) -> None:
    import subprocess

    done = subprocess.run(
        [nft, "-f", "-"], input=rules.encode(), capture_output=True, env=dict(os.environ), timeout=NFT_SECONDS
    )
    if done.returncode:
        first = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise NotThisMachine(f"nft refuses the rule for what pods send to the LAN: {first}.")
