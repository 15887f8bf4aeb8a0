"""The kernel's netlink sockets: requests, dumps and attributes, as little of it as kube-proxy and the LB need.

rtnetlink(7) and netlink(7); all sizes in native byte order, attributes padded to four bytes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
"""Without the bits that say `nested` and `network byte order`."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    size = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(size, kind) + payload + b"\0" * (-size % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes one after the other, as (type, payload)."""
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if size < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, data[_ATTRIBUTE.size : size]
        data = data[size + (-size % 4) :]


class Netlink:
    """One socket of one protocol, in the network namespace of the thread that makes it. Blocking; answers are local."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def change(self, kind: int, payload: bytes, flags: int = 0) -> None:
        """One request that answers with an acknowledgement. Raises OSError with the kernel's errno."""
        for _ in self._transact(kind, payload, flags | NLM_F_ACK):
            pass

    def ask(self, kind: int, payload: bytes) -> Iterator[bytes]:
        """The payload of the one object that is named. Raises OSError, ENOENT when there is none."""
        return self._transact(kind, payload, NLM_F_ACK)

    def dump(self, kind: int, payload: bytes) -> Iterator[bytes]:
        """The payloads of all objects of a kind."""
        return self._transact(kind, payload, NLM_F_DUMP)

    def _transact(self, kind: int, payload: bytes, flags: int) -> Iterator[bytes]:
        self._sequence += 1
        size = _HEADER.size + len(payload)
        self._socket.send(_HEADER.pack(size, kind, flags | NLM_F_REQUEST, self._sequence, 0) + payload)
        while True:
            data = self._socket.recv(1 << 18)
            while len(data) >= _HEADER.size:
                size, kind, _, sequence, _ = _HEADER.unpack_from(data)
                body, data = data[_HEADER.size : size], data[(size + 3) & ~3 :]
                if sequence != self._sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    if number := -struct.unpack_from("=i", body)[0]:
                        raise OSError(number, os.strerror(number))
                    return
                yield body


@contextlib.contextmanager
def ignoring(*numbers: int) -> Iterator[None]:
    """Pass over an OSError with one of these errnos."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
