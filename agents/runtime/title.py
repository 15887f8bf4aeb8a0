"""What `ps` shows of a forked process: its command line, and the environment that clean-up finds it by.

The kernel reads both from the process's own memory, at places that a process may move (PR_SET_MM_MAP): the strings are
laid out anew, whole and of any length. A kernel without that call keeps the old places; then the command line is
written over the old arguments, as far as they reach, and the environment shown stays the one it was started with.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from . import syscalls

_shown = b""
"""What the kernel reads now; kept, so that nothing else is put there."""


def set_title(argv: Sequence[str]) -> None:
    """Show `argv` as this process's command line, its first word as its name, and os.environ as its environment."""
    global _shown
    syscalls.set_name(os.path.basename(argv[0]) if argv else "")
    try:
        stat = _stat()
    except OSError:
        return
    arguments, variables = strings(argv), environment(os.environb)
    both = arguments + variables
    try:
        syscalls.move_strings(stat, syscalls.address_of(both), len(arguments), len(variables))
        _shown = both
    except OSError:
        start, end = stat.arg_start, stat.arg_end
        if 0 < start < end:
            syscalls.write_memory(start, fitted(arguments, end - start))


def strings(argv: Sequence[str]) -> bytes:
    """The words as the kernel wants them, each ended by a NUL."""
    return b"".join(os.fsencode(word) + b"\0" for word in argv)


def environment(variables: Mapping[bytes, bytes]) -> bytes:
    return b"".join(key + b"=" + value + b"\0" for key, value in variables.items())


def fitted(arguments: bytes, size: int) -> bytes:
    """Exactly `size` bytes; the last one is NUL, or the kernel would read on into the environment."""
    return arguments[: size - 1].ljust(size, b"\0")


def _stat() -> syscalls.MemoryMap:
    """Where this process's parts lie now, from /proc/self/stat (proc_pid_stat(5)). Raises OSError."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()

    def field(number: int) -> int:
        return int(fields[number - 3])

    return syscalls.MemoryMap(
        start_code=field(26), end_code=field(27), start_stack=field(28), start_data=field(45), end_data=field(46),
        start_brk=field(47), arg_start=field(48), arg_end=field(49), env_start=field(50), env_end=field(51),
    )  # fmt: skip
