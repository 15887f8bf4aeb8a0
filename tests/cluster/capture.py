"""The TCP connections that the wires of a host carry: a line of JSON for each first packet (SYN), until input ends.

It listens to all devices of its network namespace (packet(7)), as tcpdump would.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys

ETH_P_ALL, ETH_P_IP, TCP = 0x0003, 0x0800, 6


def first_packet(frame: bytes) -> tuple[str, str] | None:
    """(source, destination) of a SYN without ACK."""
    if len(frame) < 34 or struct.unpack("!H", frame[12:14])[0] != ETH_P_IP or frame[23] != TCP:
        return None
    at = 14 + (frame[14] & 0x0F) * 4
    source, destination, _, _, _, flags = struct.unpack("!HHIIBB", frame[at : at + 14])
    if flags & 0x12 != 0x02:
        return None
    return f"{socket.inet_ntoa(frame[26:30])}:{source}", f"{socket.inet_ntoa(frame[30:34])}:{destination}"


def main() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            readable, _, _ = select.select([wire, sys.stdin], [], [])
            if wire in readable:
                if (found := first_packet(wire.recv(65536))) is not None:
                    sys.stdout.write(json.dumps(found) + "\n")
            elif not sys.stdin.buffer.read1(1):
                return


main()
