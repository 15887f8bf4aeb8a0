"""nslookup as busybox had it up to 1.28, the version that tutorials ask for: it looks in the search domains.

Later versions, this machine's among them, do so only for names without a dot.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    if len(argv) != 1 or argv[0].startswith("-"):
        os.execvp("busybox", ["busybox", "nslookup", *argv])  # another server, or options: as this machine has it
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [words[1] for line in lines if (words := line.split())[:1] == ["nameserver"] and len(words) > 1]
    for server in servers[:1]:
        _say("Server:", server, [server])
    try:
        found = socket.getaddrinfo(argv[0], None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        sys.stdout.flush()
        sys.stderr.write(f"nslookup: can't resolve '{argv[0]}'\n")
        return 1
    _say("Name:", argv[0], [str(each[4][0]) for each in found])
    return 0


def _say(what: str, name: str, addresses: Sequence[str]) -> None:
    lines = [f"{what:<11}{name}"]
    for number, address in enumerate(addresses, 1):
        lines.append(f"Address {number}: {address} {_reverse(address)}".rstrip())
    sys.stdout.write("\n".join(lines) + ("\n\n" if what == "Server:" else "\n"))


def _reverse(address: str) -> str:
    try:
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
