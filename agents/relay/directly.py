"""The shell around direct.py: keeps the VXLAN device's entries as the Nodes and the probes' answers say."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from panal.client import Client, Unreachable
from panal.errors import StatusError
from panal.resources import NODES

from . import direct
from .vxlan import Vxlan

PULSE_SECONDS = 4.0
"""Between two probes of a peer."""

_log = logging.getLogger(__name__)


class Directly:
    """Other machines' hosts that are reached without the relay. Make it with `open`."""

    def __init__(self, device: Vxlan, here: frozenset[bytes], own: bytes, center: str) -> None:
        self._device = device
        self._here = here
        self._own = own
        self._center = center
        self._ways = direct.Ways(here)
        self._told = ""

    @classmethod
    def open(
        cls, edge: Path, namespace: str, port: int, here: frozenset[bytes], own: bytes, center: str
    ) -> Directly | None:
        """None where this machine may not: everything is relayed then."""
        try:
            return cls(Vxlan(edge, namespace, port), here, own, center)
        except OSError as error:
            _log.info("no VXLAN here (%s): everything is relayed", error)
            return None

    @property
    def used(self) -> set[bytes]:
        """The addresses that are reached directly now."""
        return self._ways.used

    async def run(self) -> None:
        """Probe, until cancelled."""
        asyncio.get_running_loop().add_reader(self._device.probes, self._heard)
        while True:
            self._beat()
            await asyncio.sleep(PULSE_SECONDS)

    async def tell(self, client: Client, node: str, underlay: str) -> None:
        """Write into the own Node where this machine takes VXLAN packets, if that is new."""
        if underlay == self._told:
            return
        try:
            await client.patch(NODES, node, {"metadata": {"annotations": {direct.UNDERLAY: underlay}}})
            self._told = underlay
        except (Unreachable, StatusError) as error:
            _log.warning("the address %s can't be told: %s", underlay, error)

    def known(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """The cluster's Nodes have changed."""
        point, forget = self._ways.known(direct.peers(nodes, self._here, self._center))
        self._apply()
        for lan, underlay in point.items():
            self._try(self._device.point, lan, underlay)
            self._ping(lan)
        for lan in forget:
            self._try(self._device.forget, lan)

    def _beat(self) -> None:
        for lan in self._ways.addresses:
            self._ping(lan)
        self._apply()

    def _ping(self, lan: bytes) -> None:
        self._send(direct.ping(self._own, lan))

    def _send(self, frame: bytes) -> None:
        try:
            self._device.probes.send(frame)
        except OSError as error:
            _log.debug("a probe that isn't sent: %s", error)

    def _heard(self) -> None:
        try:
            frame = self._device.probes.recv(2048)
        except OSError:
            return
        if (reply := self._ways.answer(frame, time.monotonic())) is not None:
            self._send(reply)
        self._apply()

    def _apply(self) -> None:
        """Let the bridge send to the peers that answer, and to no others."""
        begin, end = self._ways.due(time.monotonic())
        for lan in begin:
            if self._try(self._device.use, lan):
                _log.info("%s is reached directly", socket.inet_ntoa(lan))
        for lan in end:
            if self._try(self._device.leave, lan):
                _log.info("%s is relayed again", socket.inet_ntoa(lan))

    @staticmethod
    def _try(change: Callable[..., None], *arguments: Any) -> bool:
        try:
            change(*arguments)
        except OSError as error:
            _log.warning("VXLAN: %s", error)
            return False
        return True
