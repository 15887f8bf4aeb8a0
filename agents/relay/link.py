"""One TLS connection to another machine's agent: messages in and out, a bounded queue, and a pulse.

What doesn't fit into the queue is dropped, as a router does: the packets' own TCP slows down. A peer that has been
silent too long (its machine sleeps, or is gone) is hung up on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from . import frames

QUEUE = 1 << 20
"""Bytes that wait for a slow connection at most: some 80 ms of 100 Mbit/s."""
PULSE, SILENCE = 4.0, 13.0
"""Seconds between pings, and of silence after which a peer counts as gone."""
USER = "system:node:"
GROUP = "system:nodes"

_log = logging.getLogger(__name__)


def server_context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Who dials must show a certificate of the cluster. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _mutual(context, authority, certificate, key)


def client_context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Who is dialled must show one, too; its name is checked after the handshake: nodes change their addresses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _mutual(context, authority, certificate, key)


def _mutual(context: ssl.SSLContext, authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


def node_of(certificate: dict[str, Any] | None) -> str | None:
    """The node whose certificate it is (`getpeercert`); None for anybody else's."""
    names, groups = [], []
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                names.append(value)
            elif key == "organizationName":
                groups.append(value)
    if GROUP not in groups or len(names) != 1 or not names[0].startswith(USER):
        return None
    return str(names[0].removeprefix(USER))


class Link(asyncio.Protocol):
    """`opened` says by its answer whether the node may stay; `received` gets each frame."""

    def __init__(
        self,
        opened: Callable[[Link], str | None],
        received: Callable[[Link, memoryview], None],
        closed: Callable[[Link], None],
    ) -> None:
        self.node = ""
        self.address = b""
        self.dropped = 0
        self.ended = asyncio.get_running_loop().create_future()
        self.local = ""
        """This machine's address on the connection."""
        self.reason = ""
        """Why the other side hung up, if it said so."""
        self._opened, self._received, self._closed = opened, received, closed
        self._messages = frames.Messages()
        self._transport: asyncio.Transport | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._accepted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=QUEUE)
        name = transport.get_extra_info("sockname")
        self.local = str(name[0]) if isinstance(name, tuple) else ""
        self.node = node_of(transport.get_extra_info("peercert")) or ""
        why = "its certificate is no node's" if not self.node else self._opened(self)
        if why is not None:
            self.refuse(why)
            return
        self._accepted = True
        self._heard = self._now()
        self._beat()

    def refuse(self, why: str) -> None:
        """Hang up, and say why."""
        if self._transport is not None and not self._transport.is_closing():
            _log.warning("refusing %s: %s", self.node or "a stranger", why)
            self._transport.write(frames.message(frames.BYE, why.encode()))
            self._transport.close()

    def send(self, frame: bytes | memoryview) -> None:
        """Queue a frame, or drop it where too much waits already."""
        assert self._transport is not None
        if self._transport.get_write_buffer_size() > QUEUE:
            self.dropped += 1
            return
        self._transport.write(frames.message(frames.FRAME, frame))

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._heard = self._now()
        if not self._accepted:
            return
        try:
            for kind, content in self._messages.feed(data):
                if kind == frames.FRAME:
                    self._received(self, content)
                elif kind == frames.PING:
                    self._transport.write(frames.message(frames.PONG))
                elif kind == frames.BYE:
                    self.reason = bytes(content[:500]).decode(errors="replace")
        except ValueError as error:
            _log.warning("%s speaks nonsense: %s", self.node, error)
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        if self._accepted:
            self._closed(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def _beat(self) -> None:
        assert self._transport is not None
        if self._now() - self._heard > SILENCE:
            _log.warning("%s has been silent for %.0f s; hanging up", self.node, SILENCE)
            self._transport.abort()
            return
        self._transport.write(frames.message(frames.PING))
        self._pulse = asyncio.get_running_loop().call_later(PULSE, self._beat)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
