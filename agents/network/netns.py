"""The company LAN in network namespaces of the cluster's own: one bridge, one namespace a host.

Nothing of the machine's own interfaces, routes or rules is touched, so the addresses can clash with nothing. The
namespaces are kept by bind mounts in the cluster's mount namespace and end with it. Pods: see podnetns.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from panal import linux

from .contract import Space
from .netlink import Netlink, inside, new_namespace

BRIDGE = "lan"
LOOPBACK_INDEX = 1
"""`lo` is the first device of every network namespace."""

SYSCTLS = {
    "net/ipv6/conf/default/disable_ipv6": "1",  # no link-local noise; ::1 on lo stays for programs that bind ::
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv4/conf/all/rp_filter": "0",  # answers to a redirected connection may come by another device
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/default/accept_local": "0",
    "net/ipv4/tcp_migrate_req": "1",  # a server that listens anew (SO_REUSEPORT) gets what its old self did not accept
}
"""For every namespace, written before its devices exist: Linux gives `default` to each new device."""

NODE_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
}


def link_address(address: str) -> str:
    """A MAC for an IPv4 address: locally administered, the same every time."""
    return "0a:58:" + ":".join(f"{octet:02x}" for octet in IPv4Address(address).packed)


def device(prefix: str, address: str) -> str:
    """A device name for an address, at most 15 characters."""
    return prefix + IPv4Address(address).packed.hex()


def write_sysctls(values: Mapping[str, str]) -> None:
    """Set kernel parameters of the thread's network namespace; what this kernel does not have is left out."""
    for name, value in values.items():
        try:
            with open(f"/proc/sys/{name}", "w") as file:
                file.write(value)
        except FileNotFoundError:
            continue


def pin(fd: int, path: Path) -> None:
    """Keep the namespace of this descriptor as a bind mount, for setns by path."""
    path.touch(mode=0o600)
    try:
        linux.mount(f"/proc/self/fd/{fd}", path, flags=linux.MS_BIND)
    except OSError:
        path.unlink(missing_ok=True)
        raise


@dataclass
class _Host:
    address: str
    netlink: Netlink
    eth0: int
    pod_cidr: IPv4Network | None
    reaches_pods: bool


class NetnsLAN:
    """The LAN as a bridge in the network namespace this object is made in."""

    def __init__(self, lan: str, folder: Path) -> None:
        self._prefix = IPv4Network(lan).prefixlen
        self._folder = folder
        self._hosts: list[_Host] = []
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_sysctls(SYSCTLS)
        self._netlink = Netlink()
        self._netlink.set_up(LOOPBACK_INDEX)
        self._netlink.add_bridge(BRIDGE)
        self._bridge = self._netlink.index(BRIDGE)

    async def add_host(self, name: str, address: str, *, reaches_pods: bool = False) -> Space:
        """A host with a route to nothing but the LAN; `reaches_pods` (the company's DNS) adds the way back to pods."""
        return self._add(name, address, None, reaches_pods)

    async def add_node(self, name: str, address: str, pod_cidr: str) -> Space:
        return self._add(name, address, IPv4Network(pod_cidr), True)

    def close(self) -> None:
        """Let go of the descriptors; the namespaces stay."""
        for host in self._hosts:
            host.netlink.close()
        self._netlink.close()

    def _add(self, name: str, address: str, pod_cidr: IPv4Network | None, reaches_pods: bool) -> Space:
        namespace = new_namespace()
        try:
            with inside(namespace):
                write_sysctls(SYSCTLS if pod_cidr is None else {**SYSCTLS, **NODE_SYSCTLS})
                netlink = Netlink()
            self._netlink.add_veth(
                device("h", address), "02" + link_address(address)[2:], "eth0", link_address(address), namespace,
                master=self._bridge,
            )  # fmt: skip
            self._netlink.flush()
            host = _Host(address, netlink, netlink.index("eth0"), pod_cidr, reaches_pods)
            netlink.set_up(LOOPBACK_INDEX)
            netlink.set_up(host.eth0)
            netlink.add_address(host.eth0, address, self._prefix)
            path = self._folder / name
            pin(namespace, path)
        finally:
            os.close(namespace)
        self._connect(host)
        self._hosts.append(host)
        return Space(address, str(path))

    def _connect(self, host: _Host) -> None:
        """Routes between the new host and every earlier one, where there are pods behind either."""
        for other in self._hosts:
            _route(host, other)
            _route(other, host)
            other.netlink.flush()
        host.netlink.flush()


def _route(source: _Host, target: _Host) -> None:
    if source.reaches_pods and target.pod_cidr is not None:
        cidr = target.pod_cidr
        source.netlink.add_route(str(cidr.network_address), cidr.prefixlen, index=source.eth0, gateway=target.address)
