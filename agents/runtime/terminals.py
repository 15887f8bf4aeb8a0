"""Pseudo-terminals: opening a pair, telling its size."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import termios

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
"""asm-generic/ioctls.h; the same on every architecture that Panal runs on."""
_PTMX = os.makedev(5, 2)
_SIZE = struct.Struct("HHHH")


def open_pair(pid: int | None = None) -> tuple[int, int]:
    """(master, slave), the master non-blocking. Of the terminals that the process `pid` sees, where it has its own."""
    master = _open_master(pid)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except BaseException:
        os.close(master)
        raise
    return master, slave


def _open_master(pid: int | None) -> int:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK
    if pid is not None:
        try:
            descriptor = os.open(f"/proc/{pid}/root/dev/pts/ptmx", flags | os.O_NOFOLLOW)
        except OSError:
            return os.open("/dev/ptmx", flags)
        found = os.fstat(descriptor)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == _PTMX:
            return descriptor
        os.close(descriptor)
    return os.open("/dev/ptmx", flags)


def set_size(descriptor: int, rows: int, columns: int) -> None:
    """The window's size, for programs that ask and those that listen to SIGWINCH. Raises OSError."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, _SIZE.pack(_short(rows), _short(columns), 0, 0))


def encode_size(rows: int, columns: int) -> bytes:
    """A size as a line, short enough to be written at once."""
    return b"%d %d\n" % (_short(rows), _short(columns))


def decode_sizes(text: bytes) -> tuple[int, int] | None:
    """(rows, columns) of the last whole line; None without one."""
    for line in reversed(text.split(b"\n")):
        words = line.split()
        if len(words) == 2 and all(word.isdigit() for word in words):
            return _short(int(words[0])), _short(int(words[1]))
    return None


def _short(value: int) -> int:
    return max(0, min(value, 65535))
