"""The commands that print something and end, and `pause`."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from panal import durations

from .flags import Usage, parse


def connect(argv: list[str]) -> int:
    """Exit code 1 with one of TIMEOUT, REFUSED, DNS, OTHER, UNKNOWN, as tests look for it."""
    values, rest = parse(argv, {"timeout": "1s", "protocol": "tcp"})
    if values["protocol"] not in ("tcp", "udp") or len(rest) != 1:
        return _failed("UNKNOWN")
    host, _, port = rest[0].rpartition(":")
    if not host or not port.isdigit():
        return _failed(f"UNKNOWN: address {rest[0]}: missing port in address")
    try:
        timeout = durations.seconds(values["timeout"])
    except ValueError:
        raise Usage(f'Error: invalid argument "{values["timeout"]}" for "--timeout" flag') from None
    try:
        addresses = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        return _failed(f"DNS: {error.strerror}")
    try:
        socket.create_connection((str(addresses[0][4][0]), int(port)), timeout=timeout).close()
    except TimeoutError:
        return _failed("TIMEOUT")
    except ConnectionRefusedError:
        return _failed("REFUSED")
    except OSError as error:
        return _failed(f"OTHER: {error.strerror}")
    return 0


def _failed(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return 1


def dns_server_list(argv: list[str]) -> int:
    servers = [words[1] for words in _resolver() if words[0] == "nameserver" and len(words) > 1]
    sys.stdout.write(",".join(servers) + "\n")
    return 0


def dns_suffix(argv: list[str]) -> int:
    found = [words[1:] for words in _resolver() if words[0] == "search"]
    sys.stdout.write(",".join(found[-1] if found else []) + "\n")
    return 0


def _resolver() -> list[list[str]]:
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    return [words for line in lines if (words := line.split())]


def etc_hosts(argv: list[str]) -> int:
    sys.stdout.write(Path("/etc/hosts").read_text())
    return 0


def entrypoint_tester(argv: list[str]) -> int:
    name = os.environ.pop("AGNHOST_NAME", "/agnhost")
    sys.stdout.write(f"[{' '.join([name, 'entrypoint-tester', *argv])}]\n")
    return 0


def pause(argv: list[str]) -> int:
    """Until SIGTERM or SIGINT."""
    waited = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    sys.stdout.write("Paused\n")
    sys.stdout.flush()
    signal.sigwait(waited)
    return 0
