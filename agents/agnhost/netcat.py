"""`nc`, as netcat-openbsd's users call it in tests: is a port open, and what does it answer; TCP, UDP, Unix sockets."""

from __future__ import annotations

import getopt
import os
import select
import socket
import sys
from collections.abc import Mapping

_CHUNK = 64 * 1024
_FLAGS = "lutvzUkn46Nw:p:s:q:"


def main(argv: list[str]) -> int:
    """Exit code 1 when there was no connection."""
    try:
        found, rest = getopt.gnu_getopt(argv, _FLAGS)
    except getopt.GetoptError as error:
        return _failed(f"nc: {error}")
    flags = dict(found)
    try:
        return _listen(flags, rest) if "-l" in flags else _connect(flags, rest)
    except (OSError, ValueError) as error:
        return _failed(f"nc: {getattr(error, 'strerror', None) or error}")


def _connect(flags: Mapping[str, str], rest: list[str]) -> int:
    if "-U" in flags:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(rest[0])
            return _talk(peer, flags)
    if len(rest) != 2:
        return _failed("usage: nc [-ltuUvz] [-p port] [-w timeout] destination port")
    host, port, datagrams = rest[0], int(rest[1]), "-u" in flags
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    try:
        place = socket.getaddrinfo(host, port, socket.AF_INET, kind)[0][4]
    except socket.gaierror as error:
        return _failed(f"nc: getaddrinfo for host {host} port {port}: {error.strerror}")
    with socket.socket(socket.AF_INET, kind) as peer:
        peer.settimeout(_seconds(flags))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if "-p" in flags or "-s" in flags:
            peer.bind((flags.get("-s", ""), int(flags.get("-p", 0))))
        what = "udp" if datagrams else "tcp"
        try:
            peer.connect(place)
            if datagrams and "-z" in flags:
                _expect_no_refusal(peer, _seconds(flags) or 1.0)
        except OSError as error:
            words = "Operation timed out" if isinstance(error, TimeoutError) else error.strerror
            return _failed(f"nc: connect to {host} port {port} ({what}) failed: {words}")
        if "-v" in flags:
            sys.stderr.write(f"Connection to {host} {port} port [{what}/*] succeeded!\n")
        return 0 if "-z" in flags else _talk(peer, flags)


def _expect_no_refusal(peer: socket.socket, seconds: float) -> None:
    """A datagram is refused by an ICMP message, if at all. Raises OSError."""
    for _ in range(2):
        peer.send(b"X")
        if select.select([peer], [], [], min(seconds, 1.0) / 2)[0]:
            peer.recv(_CHUNK)


def _listen(flags: Mapping[str, str], rest: list[str]) -> int:
    if "-U" in flags:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(rest[0])
            return _accept(server, flags)
    port, host = int(flags["-p"] if "-p" in flags else rest[-1]), flags.get("-s", "")
    if len(rest) == 2:
        host = rest[0]
    if "-u" in flags:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((host, port))
            data, sender = peer.recvfrom(_CHUNK)
            peer.connect(sender)
            os.write(1, data)
            return _talk(peer, flags)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        return _accept(server, flags)


def _accept(server: socket.socket, flags: Mapping[str, str]) -> int:
    server.listen()
    while True:
        peer, _ = server.accept()
        with peer:
            code = _talk(peer, flags)
        if "-k" not in flags:
            return code


def _talk(peer: socket.socket, flags: Mapping[str, str]) -> int:
    """Both ways, until the peer has ended or nothing has come for the time of -w."""
    peer.settimeout(None)
    watched: list[socket.socket | int] = [peer, 0]
    while peer in watched:
        ready, _, _ = select.select(watched, [], [], _seconds(flags))
        if not ready:
            return 0
        if 0 in ready:
            if data := os.read(0, _CHUNK):
                peer.sendall(data)
            else:
                watched.remove(0)
                if "-N" in flags:
                    peer.shutdown(socket.SHUT_WR)
        if peer in ready:
            if not (data := peer.recv(_CHUNK)) and "-u" not in flags:
                return 0
            os.write(1, data)
    return 0


def _seconds(flags: Mapping[str, str]) -> float | None:
    return float(flags["-w"]) if "-w" in flags else None


def _failed(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return 1
