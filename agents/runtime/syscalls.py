"""The kernel calls that Python 3.11 doesn't offer: namespaces, mounts, pivot_root, capabilities, process names.

Each function is one call with types, and raises OSError with the call's name and subject. Nothing is decided here.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from enum import IntFlag
from functools import cache


class Clone(IntFlag):
    """Namespaces, as in sched.h."""

    NEWNS = 0x00020000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


class Mnt(IntFlag):
    """Flags of mount(2), as in sys/mount.h."""

    NONE = 0
    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    MOVE = 8192
    REC = 16384
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    RELATIME = 1 << 21


NAMESPACES: dict[str, Clone] = {
    "mnt": Clone.NEWNS,
    "pid": Clone.NEWPID,
    "ipc": Clone.NEWIPC,
    "uts": Clone.NEWUTS,
    "net": Clone.NEWNET,
}
"""Names as in /proc/PID/ns."""

CAPABILITIES = tuple(
    (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
        "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
        "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        "PERFMON BPF CHECKPOINT_RESTORE "
    ).split()
)
"""In the kernel's order: the index is the capability's number (linux/capability.h)."""

_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 1
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 15, 24, 38, 36
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_PR_SET_MM, _PR_SET_MM_MAP = 35, 14
_CAPABILITY_VERSION_3 = 0x20080522


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _FilterInstruction(ctypes.Structure):
    """struct sock_filter of linux/filter.h."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_FilterInstruction)))


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    text, number = ctypes.c_char_p, ctypes.c_ulong
    libc.mount.argtypes = (text, text, text, number, text)
    libc.umount2.argtypes = (text, ctypes.c_int)
    libc.prctl.argtypes = (ctypes.c_int, number, number, number, number)
    return libc


def load() -> None:
    """Find the C library now, so that a process forked later needs not."""
    _libc()


def _check(result: int, what: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: Clone) -> None:
    """Leave the named namespaces for new ones. A new PID namespace is for the children only."""
    _check(_libc().unshare(ctypes.c_int(flags)), f"unshare {flags.name or int(flags)}")


def setns(path: str, flag: Clone) -> None:
    """Enter the namespace that `path` (under /proc/PID/ns, or a bind mount of one) stands for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns_fd(descriptor, flag)
    except OSError as error:
        raise OSError(error.errno, f"enter namespace {path}: {os.strerror(error.errno or 0)}") from None
    finally:
        os.close(descriptor)


def setns_fd(descriptor: int, flag: Clone) -> None:
    _check(_libc().setns(ctypes.c_int(descriptor), ctypes.c_int(flag)), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """`flags` as in `Mnt`."""
    result = _libc().mount(
        os.fsencode(source), os.fsencode(target), fstype.encode() or None, flags, os.fsencode(data) or None
    )
    if result == -1:
        _check(result, f"mount {source} at {target}")


def umount(target: str, *, detach: bool = False) -> None:
    _check(_libc().umount2(os.fsencode(target), _MNT_DETACH if detach else 0), f"unmount {target}")


def make_readonly(target: str, *, recursive: bool = True) -> None:
    """Make the mount at `target` (and all below it) read-only, keeping their other flags."""
    attributes = _MountAttributes(attr_set=_MOUNT_ATTR_RDONLY)
    result = _libc().syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    if result == -1:
        _remount_readonly(target)


def _remount_readonly(target: str) -> None:
    """For kernels before 5.12; flags that a user namespace may not take away are repeated."""
    kept = os.statvfs(target).f_flag & int(Mnt.NOSUID | Mnt.NODEV | Mnt.NOEXEC | Mnt.NOATIME | Mnt.NODIRATIME)
    mount("none", target, flags=Mnt.REMOUNT | Mnt.BIND | Mnt.RDONLY | Mnt(kept))


def pivot_root(new_root: str, put_old: str) -> None:
    libc = _libc()
    number = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "armv7l": 218, "i686": 217, "ppc64le": 203, "s390x": 217}
    result = libc.syscall(
        ctypes.c_long(number[os.uname().machine]),
        ctypes.c_char_p(os.fsencode(new_root)),
        ctypes.c_char_p(os.fsencode(put_old)),
    )
    _check(result, f"pivot_root to {new_root}")


def _prctl(option: int, what: str, *arguments: int) -> None:
    padded = [*arguments, 0, 0, 0, 0][:4]
    _check(_libc().prctl(option, *padded), what)


def address_of(text: bytes) -> int:
    """Where the bytes lie, followed by a NUL, for as long as the caller keeps them.

    An array of ctypes would do, but is a type of its own for each length: half a MiB of shared pages written to.
    """
    return ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0


def set_name(name: str) -> None:
    """The thread's name in /proc/PID/comm; 15 bytes are kept."""
    kept = os.fsencode(name)[:15]
    _prctl(_PR_SET_NAME, "set name", address_of(kept))


def set_parent_death_signal(number: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, "set parent death signal", number)


def set_no_new_privs() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, "set no_new_privs", 1)


def set_filter(instructions: Sequence[tuple[int, int, int, int]]) -> None:
    """A seccomp filter for this process and all it starts: (code, jump if true, jump if false, constant) each."""
    listed = (_FilterInstruction * len(instructions))(*(_FilterInstruction(*each) for each in instructions))
    whole = _FilterProgram(len(listed), listed)
    _prctl(_PR_SET_SECCOMP, "set seccomp filter", _SECCOMP_MODE_FILTER, ctypes.addressof(whole))


def set_child_subreaper() -> None:
    """Orphaned descendants become this process's children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, "set child subreaper", 1)


def keep_bounding(keep: Iterable[str]) -> None:
    """Take every other capability out of the bounding set; what is executed later can't get it back."""
    wanted = set(keep)
    for number, name in enumerate(CAPABILITIES):
        if name not in wanted and _libc().prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == -1:
            error = ctypes.get_errno()
            if error != 22:  # EINVAL: this kernel has no such capability
                raise OSError(error, f"drop capability {name}: {os.strerror(error)}")


def set_capabilities(keep: Iterable[str]) -> None:
    """Permitted and effective become what is held now and is in `keep`; inheritable and ambient become empty."""
    wanted = 0
    for name in keep:
        wanted |= 1 << CAPABILITIES.index(name)
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    _check(_libc().capget(ctypes.byref(header), ctypes.byref(data)), "read capabilities")
    for half in range(2):
        mask = (wanted >> (32 * half)) & 0xFFFFFFFF
        data[half].permitted &= mask
        data[half].effective = data[half].permitted
        data[half].inheritable = 0
    _libc().prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _check(_libc().capset(ctypes.byref(header), ctypes.byref(data)), "set capabilities")


class MemoryMap(ctypes.Structure):
    """struct prctl_mm_map of linux/prctl.h: where the parts of a process's memory lie."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in (
            "start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "start_stack",
            "arg_start", "arg_end", "env_start", "env_end", "auxv",
        )),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )  # fmt: skip
    arg_start: int
    arg_end: int


def move_strings(now: MemoryMap, address: int, arguments: int, variables: int) -> None:
    """Let the kernel show so many bytes at `address` as the command line, and those behind as the environment.

    Needs no privilege, but a kernel with CONFIG_CHECKPOINT_RESTORE. PR_SET_MM_MAP.
    """
    wanted = MemoryMap.from_buffer_copy(now)
    _libc().sbrk.restype = ctypes.c_void_p
    wanted.brk = _libc().sbrk(0)
    wanted.arg_start, wanted.arg_end = address, address + arguments
    wanted.env_start, wanted.env_end = address + arguments, address + arguments + variables
    wanted.auxv, wanted.auxv_size, wanted.exe_fd = 0, 0, 0xFFFFFFFF
    _prctl(_PR_SET_MM, "move the command line", _PR_SET_MM_MAP, ctypes.addressof(wanted), ctypes.sizeof(wanted))


def write_memory(address: int, content: bytes) -> None:
    """Write into this process's own memory."""
    ctypes.memmove(address, content, len(content))
