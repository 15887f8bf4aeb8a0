"""The command line that `ps` shows of a forked process.

The kernel reads it from the memory where the process's first arguments lay; the environment's first strings follow
there and may be written over once the C library has forgotten them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from . import syscalls

_ARG_START, _ARG_END, _ENV_START, _ENV_END = 47, 48, 49, 50
"""Fields of /proc/PID/stat, counted from 0."""


def set_title(argv: Sequence[str]) -> None:
    """Show `argv` as this process's command line and its first word as its name. Rewrites os.environ's C copy."""
    syscalls.set_name(os.path.basename(argv[0]) if argv else "")
    area = _area()
    if area is None:
        return
    start, arg_end, end = area
    variables = dict(os.environb)
    syscalls.clear_environment()
    syscalls.write_memory(start, compose(argv, arg_end - start, end - start))
    for key, value in variables.items():
        os.putenv(key, value)


def compose(argv: Sequence[str], arguments: int, whole: int) -> bytes:
    """The bytes to write: `arguments` is the size of the old arguments, `whole` that with the old environment.

    As long as the text is shorter than the old arguments it keeps the NULs between words; a longer one must be a
    single string, which the kernel recognises by the missing NUL where the old arguments ended.
    """
    text = b"\0".join(os.fsencode(word) for word in argv) + b"\0"
    if len(text) <= arguments:
        return text.ljust(whole, b"\0")
    line = text[:-1].replace(b"\0", b" ")[: whole - 1]
    return line.ljust(whole, b"\0")


def _area() -> tuple[int, int, int] | None:
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # The split starts at field 3 (state), which is index 2 of the whole line.
    start, arg_end, env_start, env_end = (
        int(fields[index - 2]) for index in (_ARG_START, _ARG_END, _ENV_START, _ENV_END)
    )
    if not 0 < start < arg_end:
        return None
    return start, arg_end, env_end if env_start == arg_end and env_end > arg_end else arg_end
