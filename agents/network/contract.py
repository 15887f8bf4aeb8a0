"""The network's contract: addresses for hosts, nodes and pods, and where a process must be started to have one.

`netns` gives every host and pod a network namespace; `loopback` gives them addresses of 127/8 in the machine's own
network; in `machine`, this machine is one of the LAN's hosts, and only its pods need namespaces. A `Space` is what the
spawner needs to start a process there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Space:
    """Where a process has this address. `netns` is a path that setns(2) can open, or None for the current network."""

    address: str
    netns: str | None


class PodNetwork(Protocol):
    """The network of one node's pods; used by the runtime."""

    async def attach(self, sandbox_id: str) -> Space:
        """Give the sandbox an address of the node's pod CIDR. The same id gets the same Space, after a restart too."""

    async def detach(self, sandbox_id: str) -> None:
        """Take the address and the namespace back. Detaching what is not attached is no error."""


class LAN(Protocol):
    """The company LAN; used by the steward."""

    async def add_host(self, name: str, address: str) -> Space: ...
    async def add_node(self, name: str, address: str, pod_cidr: str) -> Space:
        """A host that forwards, with routes from every other host and node to its pods."""
