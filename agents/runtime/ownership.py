"""Giving a file away where only one user exists: chown(2) to any other succeeds and changes nothing.

As an ordinary user a container has one user and one group. `tar` as root, and with it `kubectl cp`, gives what it
unpacks to the users that the archive names, and would fail on the first; so a seccomp filter answers for those that
do not exist. seccomp(2), BPF as in linux/filter.h and linux/bpf_common.h.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from .syscalls import set_filter

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Places in struct seccomp_data."""
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000
_UNCHANGED = 0xFFFFFFFF
"""The user or group -1, which chown leaves as it is."""

_CALLS = {
    "x86_64": (0xC000003E, (92, 93, 94), (260,)),  # chown, fchown, lchown; fchownat
    "aarch64": (0xC00000B7, (55,), (54,)),
}
"""Machine -> its AUDIT_ARCH, the calls whose second argument is the user, those whose third is."""


def program(owner: tuple[int, int], machine: str) -> list[Instruction]:
    """The filter for a place where only `owner` exists; empty for a machine whose call numbers are not known here."""
    if machine not in _CALLS or sys.byteorder != "little":
        return []
    architecture, second, third = _CALLS[machine]
    checks = (*_check(owner, 1), *_check(owner, 2))
    calls = [(number, 0) for number in second] + [(number, len(checks) // 2) for number in third]
    begin: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _ALLOW)]
    begin.append((_LOAD, 0, 0, _NUMBER))
    jumps = [(_EQUAL, len(calls) - at + start, 0, number) for at, (number, start) in enumerate(calls)]
    return [*begin, *jumps, (_RETURN, 0, 0, _ALLOW), *checks]


def _check(owner: tuple[int, int], first: int) -> Iterator[Instruction]:
    """Whether the user in argument `first` and the group in the next exist; eight instructions."""
    uid, gid = owner
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * first
    yield _EQUAL, 1, 0, _UNCHANGED
    yield _EQUAL, 0, 4, uid
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * (first + 1)
    yield _EQUAL, 1, 0, _UNCHANGED
    yield _EQUAL, 0, 1, gid
    yield _RETURN, 0, 0, _ALLOW
    yield _RETURN, 0, 0, _SUCCEED


def pretend(owner: tuple[int, int]) -> None:
    """Put the filter in force for this process and what it starts. Needs CAP_SYS_ADMIN or no_new_privs."""
    if instructions := program(owner, os.uname().machine):
        set_filter(instructions)
