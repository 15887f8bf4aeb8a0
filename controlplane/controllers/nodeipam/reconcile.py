"""Watches nodes, and writes what they are given into them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from panal.addresses import LAN_ADDRESS
from panal.controllers import Controller
from panal.errors import NotFound
from panal.informer import Applied, Deleted, Delta
from panal.resources import NODES

from ..context import Context
from ..meta import Object, name
from . import decide

AGAIN = 30.0
"""Seconds after which a node that nothing was left for is looked at again; nodes that go are noticed at once."""


class NodeIPAM:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.of(NODES)
        self._events = context.recorder("cidrAllocator")
        self._controller: Controller[str] = Controller("node-ipam", self.reconcile, workers=1)
        self._given: dict[str, tuple[list[IPv4Network], list[IPv4Address]]] = {}
        """What was written, until the informer shows it: one worker, so nothing is given twice."""
        self._nodes.subscribe(self._on_node)

    async def run(self) -> None:
        await self._context.ready(self._nodes)
        await self._controller.run()

    def _on_node(self, delta: Delta) -> None:
        match delta:
            case Applied(new, _):
                if not decide.cidrs(new) or decide.asks(new):
                    self._controller.queue.add(name(new))
                else:
                    self._given.pop(name(new), None)
            case Deleted(old):
                self._given.pop(name(old), None)
                for node in self._nodes.all():
                    if not decide.cidrs(node) or decide.asks(node):
                        self._controller.queue.add(name(node))

    async def reconcile(self, which: str) -> float | None:
        node, settings = self._nodes.get("", which), self._context.settings
        if node is None or which in self._given:
            return None
        patch: Object = {}
        networks: list[IPv4Network] = []
        addresses: list[IPv4Address] = []
        missing = False
        if not decide.cidrs(node) and settings.cluster_cidr:
            cidr = decide.free_cidr(IPv4Network(settings.cluster_cidr), settings.node_mask, self._taken_networks())
            if cidr is None:
                text = f"Node {which} status is now: CIDRNotAvailable"
                self._events.event(node, "Normal", "CIDRNotAvailable", text)
                missing = True
            else:
                patch["spec"] = {"podCIDR": cidr, "podCIDRs": [cidr]}
                networks.append(IPv4Network(cidr))
        if decide.asks(node) and settings.lan:
            address = decide.free_address(IPv4Network(settings.lan), settings.lan_reserved, self._taken_addresses())
            if address is None:
                text = f"No address of the company LAN {settings.lan} is left for node {which}"
                self._events.event(node, "Warning", "AddressNotAvailable", text)
                missing = True
            else:
                patch["metadata"] = {"annotations": {LAN_ADDRESS: address}}
                addresses.append(IPv4Address(address))
        if patch:
            try:
                await self._context.client.patch(NODES, which, patch)
            except NotFound:
                return None
            self._given[which] = (networks, addresses)
        return AGAIN if missing else None

    def _taken_networks(self) -> list[IPv4Network]:
        given = [network for networks, _ in self._given.values() for network in networks]
        return [network for node in self._nodes.all() for network in decide.cidrs(node)] + given

    def _taken_addresses(self) -> list[IPv4Address]:
        given = [address for _, addresses in self._given.values() for address in addresses]
        return [address for node in self._nodes.all() for address in decide.addresses(node)] + given
