"""Registers the node and keeps telling that it lives: a Lease every 10 s, the status every 5 minutes or on change.

Every 10 s it looks at what the node's object says, as upstream does: others may have written to its status.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from panal.client import Client, Unreachable
from panal.config import NodeConfig
from panal.errors import AlreadyExists, NotFound, StatusError
from panal.resources import LEASES, NODES

from .nodestatus import RUNTIME_DOWN, Facts, differs, labels, node_object, node_status

_log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
SILENCE = 12.0
"""Seconds without a renewed lease after which somebody may have written that this node is not known to live."""
LOOK_SECONDS = 10.0
STATUS_SECONDS = 300.0
_RETRY_FIRST, _RETRY_MOST = 0.02, 1.0

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}


def machine_facts() -> Facts:
    """What this machine says of itself."""
    names = os.uname()
    return Facts(
        machine_id=_line("/etc/machine-id"),
        boot_id=_line("/proc/sys/kernel/random/boot_id"),
        kernel=names.release,
        os_image=_os_image(),
        architecture=_ARCHITECTURES.get(names.machine, names.machine),
    )


def _line(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""


def _os_image() -> str:
    for line in _line("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.removeprefix("PRETTY_NAME=").strip('"')
    return "Linux"


class Registration:
    """The node's own objects. `set_ready` may be called at any time; `run` writes."""

    def __init__(self, client: Client, config: NodeConfig) -> None:
        self._client = client
        self._config = config
        self._facts = machine_facts()
        self._ready = self._pressed = False
        self._why = RUNTIME_DOWN
        self._changed = asyncio.Event()
        self.node: Mapping[str, Any] | None = None
        self.registered = asyncio.Event()

    def set_ready(self, ready: bool, why: str = RUNTIME_DOWN) -> None:
        """`why` it is not."""
        if (ready, why) != (self._ready, self._why):
            self._ready, self._why = ready, why
            self._changed.set()

    def set_pressure(self, pressed: bool) -> None:
        """Whether memory has run out, or had a moment ago."""
        if pressed != self._pressed:
            self._pressed = pressed
            self._changed.set()

    async def run(self) -> None:
        """Register, then heartbeats until cancelled."""
        await self._registered()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report(), name="node status")
            group.create_task(self._renew(), name="node lease")

    async def _registered(self) -> None:
        delay = _RETRY_FIRST
        while True:
            try:
                await self._register()
                self.registered.set()
                return
            except (Unreachable, StatusError) as error:
                level = logging.DEBUG if isinstance(error, Unreachable) else logging.WARNING
                _log.log(level, "cannot register the node: %s", error)
                await asyncio.sleep(delay)
                delay = min(delay * 1.5, _RETRY_MOST)

    async def _register(self) -> None:
        self._changed.clear()
        wanted = node_object(
            self._config, self._facts, ready=self._ready, pressed=self._pressed, now=time.time(), why=self._why
        )
        try:
            self.node = await self._client.create(NODES, wanted)
        except AlreadyExists:
            name = self._config.node.name
            patch = {"metadata": {"labels": labels(self._config, self._facts)}}
            self.node = await self._client.patch(NODES, name, patch, kind="strategic")
            self._changed.set()
            return
        if not (self.node.get("status") or {}).get("conditions"):
            self._changed.set()

    async def _report(self) -> None:
        """The status at once when something changed, else every five minutes."""
        written = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            changed = self._changed.is_set() or time.monotonic() - written >= STATUS_SECONDS
            self._changed.clear()
            try:
                if changed or await self._is_outdated():
                    await self._write_status()
                    written = time.monotonic()
            except NotFound:
                await self._registered()
            except (Unreachable, StatusError) as error:
                _log.debug("node status: %s", error)
                if changed:
                    self._changed.set()
                await asyncio.sleep(0.25)

    async def _is_outdated(self) -> bool:
        """Whether the object says something else than what this kubelet would write now."""
        self.node = await self._client.get(NODES, self._config.node.name)
        return differs(self.node.get("status") or {}, self._fresh())

    async def _write_status(self) -> None:
        name, fresh = self._config.node.name, self._fresh()
        self.node = await self._client.patch(NODES, name, {"status": fresh}, kind="strategic", subresource="status")

    def _fresh(self) -> dict[str, Any]:
        old = (self.node or {}).get("status") or {}
        return node_status(
            self._config, self._facts, old, ready=self._ready, pressed=self._pressed, now=time.time(), why=self._why
        )

    async def _renew(self) -> None:
        lease: dict[str, Any] | None = None
        spoke = time.clock_gettime(time.CLOCK_BOOTTIME)
        while True:
            delay = RENEW_SECONDS
            try:
                lease = await self._renewed(lease)
                now = time.clock_gettime(time.CLOCK_BOOTTIME)
                if now - spoke > SILENCE:
                    self._changed.set()
                spoke = now
            except (Unreachable, StatusError) as error:
                _log.debug("lease: %s", error)
                lease, delay = None, _RETRY_MOST
            await asyncio.sleep(delay)

    async def _renewed(self, lease: dict[str, Any] | None) -> dict[str, Any]:
        """The lease with the present time, made when there is none."""
        name = self._config.node.name
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if lease is None:
            try:
                lease = await self._client.get(LEASES, name, LEASE_NAMESPACE)
            except NotFound:
                return await self._client.create(LEASES, self._new_lease(moment), LEASE_NAMESPACE)
        return await self._client.update(LEASES, {**lease, "spec": {**lease["spec"], "renewTime": moment}})

    def _new_lease(self, moment: str) -> dict[str, Any]:
        name = self._config.node.name
        assert self.node is not None
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": self.node["metadata"]["uid"]}
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": moment},
        }
