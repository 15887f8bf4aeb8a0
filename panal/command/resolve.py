"""From what the user wishes and what the machine allows to one configuration, and the words that say so."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from panal import clusterfile
from panal.clusterfields import ClusterFileError
from panal.config import ClusterConfig, NetworkKind, ProxyMode, RuntimeKind

from .failure import Failure

Document = Mapping[str, Any]

CAPABILITY = "panal.agents.network.capability"
"""The part that tries the machine out; known by its name only."""


class Capability(Protocol):
    """Reasons are None where a thing works."""

    @property
    def namespaces(self) -> str | None: ...
    @property
    def overlay(self) -> str | None: ...
    @property
    def netfilter(self) -> str | None: ...
    @property
    def low_ports(self) -> bool: ...


@dataclass(frozen=True)
class Wish:
    """The command line of `panal up`. None is what was not said."""

    config: Path | None = None
    nodes: int | None = None
    name: str | None = None
    network: str | None = None
    proxy_mode: str | None = None
    listen: str | None = None
    restore: Path | None = None
    vxlan: bool = False

    @property
    def source(self) -> str:
        """Where the configuration stands, for messages."""
        return str(self.config) if self.config is not None else "the command line"


@dataclass(frozen=True)
class Resolved:
    config: ClusterConfig
    notes: tuple[str, ...]
    """What was chosen for the user, and why: a line each."""
    low_ports: bool


def probe(environ: Mapping[str, str]) -> Capability:
    """Try the machine out."""
    return cast(Capability, importlib.import_module(CAPABILITY).probe(environ))


def read(wish: Wish) -> Document | None:
    """The configuration file, if one was named. Raises Failure."""
    try:
        return clusterfile.read(wish.config) if wish.config is not None else None
    except ClusterFileError as error:
        raise Failure(str(error)) from error


def name_of(wish: Wish, document: Document | None) -> str:
    """The cluster's name. Raises Failure for what is no name."""
    try:
        return clusterfile.name_of(document, wish.source, wish.name)
    except ClusterFileError as error:
        raise Failure(str(error)) from error


def guess_network(wish: Wish, document: Document | None) -> str:
    """What the network will be, most probably: it is tried at once while the rest is being found out."""
    spec = (document or {}).get("spec")
    said = wish.network or (spec.get("network") if isinstance(spec, dict) else None)
    return "loopback" if said == "loopback" else "netns"


def resolve(wish: Wish, document: Document | None, capability: Capability) -> Resolved:
    """The configuration. Raises Failure with the file's, the wish's or the machine's sentence."""
    try:
        said = clusterfile.wishes(document, wish.source)
        notes: list[str] = []
        network = choose_network(wish.network or said[0], capability, notes)
        mode = choose_proxy_mode(wish.proxy_mode or said[1], network, capability, notes)
        runtime = choose_runtime(said[2], network, capability)
        config = clusterfile.resolve(
            document, wish.source, name=wish.name, nodes=wish.nodes, network=network, proxy_mode=mode, runtime=runtime
        )
    except ClusterFileError as error:
        raise Failure(str(error)) from error
    return Resolved(config, tuple(notes), capability.low_ports or network != "loopback")


def choose_network(wanted: str, capability: Capability, notes: list[str]) -> NetworkKind:
    if wanted == "machine":
        return "machine"
    if wanted == "loopback":
        return "loopback"
    if capability.namespaces is None:
        if wanted == "auto":
            notes.append("network netns: hosts and pods get network namespaces of their own")
        return "netns"
    if wanted == "netns":
        raise Failure(
            f"the netns network doesn't work here: {capability.namespaces}; use --network loopback, or allow "
            "user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)."
        )
    notes.append(f"network loopback: {capability.namespaces}; pods share the machine's network and file system")
    return "loopback"


def choose_proxy_mode(wanted: str, network: NetworkKind, capability: Capability, notes: list[str]) -> ProxyMode:
    reason = "the loopback network is the machine's own" if network == "loopback" else capability.netfilter
    if wanted == "netfilter" and reason is not None:
        raise Failure(
            f"--proxy-mode netfilter doesn't work here: {reason}; use --proxy-mode userspace{_install(reason)}."
        )
    if wanted == "userspace":
        return "userspace"
    if reason is None:
        if wanted == "auto":
            notes.append("proxy mode netfilter: nft works in them")
        return "netfilter"
    notes.append(f"proxy mode userspace: {reason}{_install(reason)}")
    return "userspace"


def _install(reason: str) -> str:
    return " (`apt install nftables` brings it)" if "not installed" in reason else ""


def choose_runtime(wanted: str, network: NetworkKind, capability: Capability) -> RuntimeKind:
    if network == "loopback":
        if wanted == "namespaces":
            raise Failure("spec.runtime: namespaces need the netns network; use `network: netns`, or `runtime: plain`.")
        return "plain"
    if wanted == "plain":
        return "plain"
    return "namespaces"
