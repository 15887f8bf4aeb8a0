"""Asking a name server for the address of a name, so that the answer can be told with who gave it (RFC 1035)."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_A, _IN = 1, 1
_HEADER = struct.Struct("!HHHHHH")
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_SECONDS = 2.0
_TRIES = 2


class Resolver(NamedTuple):
    """A resolv.conf."""

    address: str
    port: int
    searches: Sequence[str] = ()
    ndots: int = 1

    def questions(self, name: str) -> list[str]:
        """The names to ask for, in order."""
        if name.endswith("."):
            return [name[:-1]]
        longer = [f"{name}.{search}" for search in self.searches]
        return [name, *longer] if name.count(".") >= self.ndots else [*longer, name]


def resolve(resolver: Resolver, name: str) -> dict[str, Any]:
    """What was asked, and what the answer was; `addresses` is empty when there is none."""
    asked = []
    for question in resolver.questions(name):
        started = time.monotonic()
        try:
            rcode, answers = _ask(resolver, question)
        except (OSError, ValueError, struct.error, IndexError) as error:
            rcode, answers = f"no answer ({'timed out' if isinstance(error, TimeoutError) else error})", []
        took = round(1e3 * (time.monotonic() - started), 2)
        asked.append({"question": question, "rcode": rcode, "milliseconds": took})
        if answers or rcode.startswith("no answer"):
            break
    else:
        answers = []
    return {"server": f"{resolver.address}:{resolver.port}", "asked": asked, "addresses": answers}


def _ask(resolver: Resolver, name: str) -> tuple[str, list[str]]:
    query = question(name, identity := secrets.randbits(16))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((resolver.address, resolver.port))
        for attempt in range(_TRIES):
            sock.send(query)
            sock.settimeout(_SECONDS)
            with contextlib.suppress(*((TimeoutError,) if attempt + 1 < _TRIES else ())):
                return answer(sock.recv(4096), identity)
    raise TimeoutError


def question(name: str, identity: int) -> bytes:
    """A recursive query for the A records. Raises ValueError for what is no name."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name!r} is no name")
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return _HEADER.pack(identity, 0x0100, 1, 0, 0, 0) + encoded + struct.pack("!HH", _A, _IN)


def answer(message: bytes, identity: int) -> tuple[str, list[str]]:
    """The code and the addresses. Raises ValueError, struct.error or IndexError for what is no answer."""
    number, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
    if number != identity or not flags & 0x8000:
        raise ValueError("not an answer to the question")
    at = _HEADER.size
    for _ in range(questions):
        at = _skip_name(message, at) + 4
    rcode = _RCODES.get(flags & 15, str(flags & 15))
    return rcode, [socket.inet_ntoa(data) for kind, data in _records(message, at, answers) if kind == _A]


def _records(message: bytes, at: int, number: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(number):
        at = _skip_name(message, at)
        kind, _, _, size = struct.unpack_from("!HHIH", message, at)
        yield kind, message[at + 10 : at + 10 + size]
        at += 10 + size


def _skip_name(message: bytes, at: int) -> int:
    while (size := message[at]) != 0:
        if size >= 0xC0:
            return at + 2
        at += 1 + size
    return at + 1
