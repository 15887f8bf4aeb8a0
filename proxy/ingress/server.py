"""The ingress' listening sockets: plain and TLS."""

from __future__ import annotations

import asyncio

from panal.sockets import listening

from .downstream import Downstream
from .proxy import Proxy
from .tls import Certificates

BACKLOG = 1024


class Server:
    """Accepts connections for a Proxy."""

    def __init__(self, proxy: Proxy, certificates: Certificates) -> None:
        self._proxy = proxy
        self._certificates = certificates
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int, *, told_port: int | None = None, tls: bool = False) -> int:
        """Listen and return the port; `told_port` is what backends are told in X-Forwarded-Port. Raises OSError."""
        scheme, told = (b"https" if tls else b"http"), port if told_port is None else told_port
        server = await asyncio.get_running_loop().create_server(
            lambda: Downstream(self._proxy, scheme, told),
            sock=listening(host, port, backlog=BACKLOG),
            backlog=BACKLOG,
            ssl=self._certificates.listening if tls else None,
            ssl_handshake_timeout=10.0 if tls else None,
        )
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop accepting, then let the proxy finish what is under way."""
        for server in self._servers:
            server.close()
        await self._proxy.close()
