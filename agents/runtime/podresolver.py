"""Name resolution as in a pod, for Python programs that run as bare processes.

The `plain` runtime puts this file on their PYTHONPATH as `sitecustomize`, which Python imports at start; nothing of
Panal imports it. Names are looked up in $PANAL_ROOT/etc/hosts and then asked from the servers of
$PANAL_ROOT/etc/resolv.conf over UDP, honouring `search` and `ndots` (resolv.conf(5)); what they don't know is left to
the machine's own resolver. Standard library only: any Python of the machine may load it.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from typing import Any

_ROOT = os.environ.get("PANAL_ROOT", "")
_TIMEOUT = 2.0
_TTL = 5.0
_SHIFT = 10000
_machine: Any = socket.getaddrinfo
_answers: dict[str, tuple[float, list[str]]] = {}


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path) as file:
            return [line.split("#")[0].split() for line in file]
    except OSError:
        return []


def _configuration() -> tuple[list[str], list[str], int]:
    servers: list[str] = []
    searches: list[str] = []
    ndots = 1
    for words in _lines(f"{_ROOT}/etc/resolv.conf"):
        if words[:1] == ["nameserver"]:
            servers += words[1:2]
        elif words[:1] == ["search"]:
            searches = words[1:]
        elif words[:1] == ["options"]:
            for word in words[1:]:
                if word.startswith("ndots:") and word[6:].isdigit():
                    ndots = int(word[6:])
    return servers, searches, ndots


def _in_hosts(name: str) -> list[str]:
    return [words[0] for words in _lines(f"{_ROOT}/etc/hosts") if name in words[1:] and ":" not in words[0]]


def _question(name: str, number: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label for label in (part.encode("idna") for part in name.split(".")))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def _skip_name(packet: bytes, at: int) -> int:
    while packet[at]:
        if packet[at] & 0xC0:
            return at + 2
        at += 1 + packet[at]
    return at + 1


def _addresses(packet: bytes, number: int) -> list[str] | None:
    """The A records of an answer; None when it is none to this question or the server failed."""
    if len(packet) < 12:
        return None
    told, flags, questions, answers = struct.unpack_from("!4H", packet)
    if told != number or not flags & 0x8000 or flags & 0xF not in (0, 3):
        return None
    at, found = 12, list[str]()
    for _ in range(questions):
        at = _skip_name(packet, at) + 4
    for _ in range(answers):
        at = _skip_name(packet, at)
        kind, _, _, length = struct.unpack_from("!2HIH", packet, at)
        at += 10
        if kind == 1 and length == 4:
            found.append(socket.inet_ntoa(packet[at : at + 4]))
        at += length
    return found


def _ask(server: str, name: str) -> list[str]:
    shifted = os.environ.get("PANAL_LOW_PORTS") == "shifted"
    number = random.getrandbits(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_TIMEOUT)
        client.connect((server, 53 + _SHIFT if shifted else 53))
        client.send(_question(name, number))
        deadline = time.monotonic() + _TIMEOUT
        while time.monotonic() < deadline:
            found = _addresses(client.recv(4096), number)
            if found is not None:
                return found
    return []


def _candidates(name: str, searches: list[str], ndots: int) -> list[str]:
    if name.endswith("."):
        return [name[:-1]]
    completed = [f"{name}.{domain}" for domain in searches]
    return [name, *completed] if name.count(".") >= ndots else [*completed, name]


def _resolve(name: str) -> list[str]:
    held = _answers.get(name)
    if held and held[0] > time.monotonic():
        return held[1]
    found = _in_hosts(name.rstrip("."))
    if not found:
        servers, searches, ndots = _configuration()
        for candidate in _candidates(name, searches, ndots):
            for server in servers:
                try:
                    found = _ask(server, candidate)
                    break
                except (OSError, IndexError, ValueError, struct.error):
                    continue
            if found:
                break
    if found:
        if len(_answers) > 1000:
            _answers.clear()
        _answers[name] = (time.monotonic() + _TTL, found)
    return found


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return True
    return False


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    name = host.decode() if isinstance(host, (bytes, bytearray)) else host
    if not isinstance(name, str) or not name or name == "localhost" or _is_address(name):
        return _machine(host, port, family, type, proto, flags)
    if family in (0, socket.AF_INET):
        found = _resolve(name)
        if found:
            return [one for address in found for one in _machine(address, port, family, type, proto, flags)]
    return _machine(host, port, family, type, proto, flags)


def _gethostbyname(name: str) -> str:
    return str(_getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])


def _next() -> None:
    """Run the sitecustomize that this one hides, if there is one."""
    import importlib.machinery
    import importlib.util
    import sys

    here = os.path.dirname(os.path.abspath(str(sys.modules["sitecustomize"].__file__)))
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if _ROOT and __name__ == "sitecustomize":
    setattr(socket, "getaddrinfo", _getaddrinfo)  # noqa: B010
    setattr(socket, "gethostbyname", _gethostbyname)  # noqa: B010
    _next()
