"""The few Linux calls that Python 3.11 lacks: namespaces, mounts, prctl. Errors are OSErrors that say what was tried.

Importing this does no more than name them: ctypes and the C library are loaded at the first call. All of them act on
the calling thread, as the kernel has it.
"""

from __future__ import annotations

import functools
import os
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000

MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36


@functools.cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


_MADV_DONTNEED = 4


def trim_memory() -> None:
    """Give memory that was freed back to the kernel. malloc_trim(3); a libc without it keeps what it has."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def forget_files() -> None:
    """Let go of pages that hold nothing but what is in files: of libraries that were needed for a moment. madvise(2).

    They are read again when they are touched. Only mappings that may not be written and have no pages of their own
    are meant, so nothing is lost.
    """
    import ctypes

    madvise = _libc().madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    span, clean = (0, 0), False
    with open("/proc/self/smaps", "rb") as file:
        for line in file:
            head, _, rest = line.partition(b" ")
            if b"-" in head and not head.endswith(b":"):
                start, _, end = head.partition(b"-")
                span, clean = (int(start, 16), int(end, 16)), rest[1:2] == b"-" and b" /" in rest
            elif head == b"Anonymous:" and clean and rest.split()[0] == b"0":
                madvise(span[0], span[1] - span[0], _MADV_DONTNEED)


def _call(name: str, what: str, *arguments: Any) -> None:
    import ctypes

    if getattr(_libc(), name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", what)


def unshare(flags: int) -> None:
    """Move the calling thread (for NEWPID: its future children) into new namespaces. unshare(2)."""
    _call("unshare", hex(flags), flags)


def setns(fd: int, kind: int = 0) -> None:
    """Enter the namespace that `fd` is open on. setns(2)."""
    _call("setns", str(fd), fd, kind)


def mount(source: str, target: str | os.PathLike[str], kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); empty strings are passed as NULL."""
    import ctypes

    _call(
        "mount",
        os.fspath(target),
        os.fsencode(source) if source else None,
        os.fsencode(target),
        os.fsencode(kind) if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(options) if options else None,
    )


def umount(target: str | os.PathLike[str], flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    _call("umount2", os.fspath(target), os.fsencode(target), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2), which the C library has no function for."""
    import ctypes

    if _libc().syscall(_pivot_root_number(), os.fsencode(new_root), os.fsencode(put_old)) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"pivot_root: {os.strerror(number)}", new_root)


def _pivot_root_number() -> int:
    """The system call's number on this machine: asm/unistd.h of x86-64, and the generic table of all newer ones."""
    return 155 if os.uname().machine == "x86_64" else 41


def sethostname(name: str) -> None:
    """Name this UTS namespace. sethostname(2)."""
    encoded = os.fsencode(name)
    _call("sethostname", name, encoded, len(encoded))


def die_with_parent(signal_number: int) -> None:
    """Get this signal when the parent ends. PR_SET_PDEATHSIG; the caller checks that the parent still lives."""
    _call("prctl", "PR_SET_PDEATHSIG", PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def become_subreaper() -> None:
    """Adopt orphans among one's descendants. PR_SET_CHILD_SUBREAPER."""
    _call("prctl", "PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def name_process(name: str) -> None:
    """The name that `ps` and `top` show, at most 15 bytes. PR_SET_NAME."""
    _call("prctl", "PR_SET_NAME", PR_SET_NAME, os.fsencode(name)[:15] + b"\0", 0, 0, 0)


IN_MODIFY = 0x2
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800


def inotify(path: str | os.PathLike[str], mask: int) -> int:
    """A descriptor that becomes readable when one of these things happens to `path`. inotify(7)."""
    import ctypes

    descriptor = int(_libc().inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
    if descriptor < 0 or _libc().inotify_add_watch(descriptor, os.fsencode(path), mask) < 0:
        number = ctypes.get_errno()
        if descriptor >= 0:
            os.close(descriptor)
        raise OSError(number, f"inotify: {os.strerror(number)}", os.fspath(path))
    return descriptor


def map_user(uid: int, gid: int) -> None:
    """In a user namespace just made: become its root, standing for `uid` and `gid` outside. user_namespaces(7)."""
    for path, text in (
        ("/proc/self/setgroups", "deny"),
        ("/proc/self/uid_map", f"0 {uid} 1"),
        ("/proc/self/gid_map", f"0 {gid} 1"),
    ):
        with open(path, "w") as file:
            file.write(text)
