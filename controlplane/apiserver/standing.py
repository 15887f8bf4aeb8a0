"""What stands whatever anybody does: the system's namespaces, default/kubernetes and its endpoints.

Upstream looks once a minute and every ten seconds; here a change of one of them is what wakes this up.
"""

from __future__ import annotations

import asyncio
import logging

from panal import resources
from panal.errors import StatusError

from ..store import Store
from . import bootstrap, keys, kubernetesservice
from .cache import Change
from .context import Parts

_log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two looks at least."""


async def keep(parts: Parts, store: Store, port: int) -> None:
    """Write them again; runs for ever. `port` is the one this server listens on."""
    changed = asyncio.Event()

    def namespace_changed(change: Change) -> None:
        if change.kind == "DELETED" and change.item.name in bootstrap.SYSTEM_NAMESPACES:
            changed.set()

    def endpoint_changed(change: Change) -> None:
        if change.item.name == kubernetesservice.NAME:
            changed.set()

    stops = [parts.cache.shelf(keys.location(resources.NAMESPACES)).subscribe("", namespace_changed)]
    for resource in (resources.SERVICES, resources.ENDPOINTS, resources.ENDPOINTSLICES):
        shelf = parts.cache.shelf(keys.location(resource))
        stops.append(shelf.subscribe(kubernetesservice.NAMESPACE, endpoint_changed))
    try:
        while True:
            await changed.wait()
            changed.clear()
            try:
                await bootstrap.write_namespaces(parts, store)
                await kubernetesservice.publish(parts, port)
            except StatusError as error:
                _log.warning("default/kubernetes can't be written now: %s", error.message)
                changed.set()
            await asyncio.sleep(PAUSE)
    finally:
        for stop in stops:
            stop()
