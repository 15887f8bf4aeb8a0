"""Unix sockets whose path may be longer than the 107 bytes that the kernel's address holds.

The folder is opened and the socket named through /proc/self/fd, so neither the working folder nor a link on disk is
needed. Sockets are made with mode 0600 from the first moment on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def short_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """A short name for `path`, good inside the block."""
    folder, name = os.path.split(os.path.abspath(path))
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def listen(path: str | os.PathLike[str], *, backlog: int = 128, mode: int = 0o600) -> socket.socket:
    """A listening stream socket at `path`; a socket left there by an earlier process is replaced. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            Path(path).unlink()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        old = os.umask(0o177)
        try:
            with short_path(path) as short:
                server.bind(short)
        finally:
            os.umask(old)
        os.chmod(path, mode)
        server.listen(backlog)
        server.setblocking(False)
    except BaseException:
        server.close()
        raise
    return server


def connect(path: str | os.PathLike[str]) -> socket.socket:
    """A connected, non-blocking stream socket. Connecting to a Unix socket doesn't wait. Raises OSError."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as short:
            client.connect(short)
        client.setblocking(False)
    except BaseException:
        client.close()
        raise
    return client
