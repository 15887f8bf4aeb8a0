"""Kinds that may not be there: informers of custom resources that run while their definition is established.

A plain Informer would ask once a second for a kind that nobody has defined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .client import Client, Object
from .informer import Applied, Delta, Informer
from .resources import Resource, resource
from .tasks import cancel, spawn

IP_ADDRESS_POOLS = Resource("metallb.io", "v1beta1", "ipaddresspools", "IPAddressPool", True)
L2_ADVERTISEMENTS = Resource("metallb.io", "v1beta1", "l2advertisements", "L2Advertisement", True)
ROUTES = Resource("route.openshift.io", "v1", "routes", "Route", True)
DNS_ENDPOINTS = Resource("externaldns.k8s.io", "v1alpha1", "dnsendpoints", "DNSEndpoint", True)


class CustomKinds:
    """Follows the definitions and runs the informers of those that are served; one watch for all of them."""

    def __init__(self, client: Client, informers: Sequence[Informer]) -> None:
        self._informers = {informer.resource.group_resource: informer for informer in informers}
        self._definitions = Informer(client, resource("customresourcedefinitions"), transform=_slim)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        self._definitions.subscribe(self._changed)
        try:
            await self._definitions.run()
        finally:
            for task in self._running.values():
                await cancel(task)

    async def settled(self) -> None:
        """Wait until everything of these kinds is known, as far as the kinds are there."""
        await self._definitions.synced()
        for name in list(self._running):
            await self._informers[name].synced()

    def _changed(self, delta: Delta) -> None:
        definition = delta.new if isinstance(delta, Applied) else delta.old
        name = definition["metadata"]["name"]
        if (informer := self._informers.get(name)) is None:
            return
        served = isinstance(delta, Applied) and _is_established(definition)
        if served and name not in self._running:
            self._running[name] = spawn(informer.run(), name=f"watch {name}")
        elif not isinstance(delta, Applied) and name in self._running:
            self._running.pop(name).cancel()


def _slim(definition: Object) -> Object:
    """Schemas are long, and nobody here reads them."""
    metadata, status = definition["metadata"], definition.get("status") or {}
    kept = {key: metadata[key] for key in ("name", "uid", "resourceVersion") if key in metadata}
    return {"metadata": kept, "status": {"conditions": status.get("conditions") or []}}


def _is_established(definition: Object) -> bool:
    conditions = definition["status"]["conditions"]
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)
