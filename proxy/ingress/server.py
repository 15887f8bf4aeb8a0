"""The ingress' listening sockets: plain and TLS."""

from __future__ import annotations

import asyncio

from panal.sockets import listening

from .downstream import Downstream
from .passthrough import TLSListener
from .proxy import Proxy
from .routes import Address, Route
from .tls import Certificates

BACKLOG = 1024


class Server:
    """Accepts connections for a Proxy."""

    def __init__(self, proxy: Proxy, certificates: Certificates) -> None:
        self._proxy = proxy
        self._certificates = certificates
        self._servers: list[asyncio.Server] = []
        self._secure: list[TLSListener] = []

    async def listen(self, host: str, port: int, *, told_port: int | None = None, tls: bool = False) -> int:
        """Listen and return the port; `told_port` is what backends are told in X-Forwarded-Port. Raises OSError."""
        told = port if told_port is None else told_port
        sock = listening(host, port, backlog=BACKLOG)
        bound: int = sock.getsockname()[1]
        if tls:
            self._secure.append(
                TLSListener(
                    sock,
                    lambda: Downstream(self._proxy, b"https", told),
                    self._certificates.listening,
                    lambda: bool(self._proxy.table.passthrough),
                    self._passed_on,
                )
            )
            return bound
        server = await asyncio.get_running_loop().create_server(
            lambda: Downstream(self._proxy, b"http", told), sock=sock, backlog=BACKLOG
        )
        self._servers.append(server)
        return bound

    def _passed_on(self, name: str) -> list[Address] | None:
        """Where TLS for this name goes on; a backend that has nobody leaves it to whoever else there is."""
        split = self._proxy.table.passthrough.get(name)
        if split is None:
            return None
        if not split:
            return []
        backend = self._proxy.by_weight(Route("", "Exact", split[0][0], f"passthrough {name}", split=split))
        return self._proxy.turn(backend)

    async def close(self) -> None:
        """Stop accepting, then let the proxy finish what is under way."""
        for server in self._servers:
            server.close()
        for listener in self._secure:
            listener.close()
        await self._proxy.close()
        for listener in self._secure:
            await listener.ended()
