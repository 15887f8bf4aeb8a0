"""Sockets that listen and connect without asking a resolver.

uvloop's `create_server(host, port)` and `sock_connect` start four threads to look the host up, even an address: 2 MiB a
process. Give it `sock=listening(host, port)`, and `await connect(sock, address)`, instead.
"""

from __future__ import annotations

import asyncio
import os
import socket


def listening(host: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """A TCP socket that listens on an address; port 0 chooses one. Raises OSError that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return sock


async def connect(sock: socket.socket, address: tuple[str, int]) -> None:
    """Connect a non-blocking socket to an IP address and port. Raises OSError."""
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    else:
        return
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(sock, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(sock)
    if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, f"{address[0]}:{address[1]}: {os.strerror(number)}")
