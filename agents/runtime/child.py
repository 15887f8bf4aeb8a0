"""What a freshly forked child does to become the process that was asked for.

`become` never returns: it executes a program or calls a function and ends the process. Until then every failure is
reported through a pipe whose other end the server reads; the pipe closing without a word means success.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import importlib
import os
import resource
import signal
import stat
import sys
import termios
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import orjson

from . import syscalls
from .ownership import pretend
from .request import OLD_ROOT, SpawnRequest, Step
from .syscalls import NAMESPACES, Clone, Mnt
from .title import set_title

Entry = Callable[[Sequence[str]], int | None]

_BIND = int(Mnt.BIND | Mnt.REC)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def become(request: SpawnRequest, received: Mapping[int, int], report: int) -> NoReturn:
    """Become `request`; `received` maps descriptor numbers wanted to those held, `report` is the pipe's writing end."""
    stage = "start"
    try:
        os.setsid()
        _reset_signals()
        report = _arrange_descriptors(received, report)
        if request.terminal:
            _take_terminal(request)
        stage = "limits"
        _enter_cgroups(request.cgroups)
        _set_limits(request)
        stage = "namespaces"
        _enter_namespaces(request)
        stage = "mounts"
        build_root(request.root, request.steps)
        stage = "credentials"
        environment = _set_environment(request)
        _enter_folder(request.cwd)
        _set_credentials(request)
        stage = "exec"
        if request.python is None:
            _execute(request.argv, environment)
        entry = _find(request.python)
        set_title([request.name or request.python, *request.argv])
    except BaseException as error:
        _report(report, stage, error)
        os._exit(127)
    os.close(report)
    _call(entry, request)


def _reset_signals() -> None:
    """Most are as they should be, which Python knows without asking the kernel."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _arrange_descriptors(received: Mapping[int, int], report: int) -> int:
    """Put each descriptor at its number, /dev/null at missing ones of 0..2, and close all others but the report."""
    floor = max([*received, 2]) + 1
    held = {target: fcntl.fcntl(own, fcntl.F_DUPFD_CLOEXEC, floor) for target, own in received.items()}
    report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, floor)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for target in (0, 1, 2):
        os.dup2(held.get(target, null), target)
    for target, own in held.items():
        os.dup2(own, target)
    if report != floor:
        os.dup2(report, floor, inheritable=False)
    kept = sorted({0, 1, 2, floor, *received})
    for lower, upper in zip(kept, [*kept[1:], 1 << 20], strict=True):
        os.closerange(lower + 1, upper)
    return floor


def _take_terminal(request: SpawnRequest) -> None:
    """A program that changes its identity owns its terminal, as after a login."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    with contextlib.suppress(OSError):
        os.fchown(0, -1 if request.uid is None else request.uid, -1)


def _enter_cgroups(folders: Sequence[str]) -> None:
    for folder in folders:
        with open(os.path.join(folder, "cgroup.procs"), "w") as file:
            file.write("0")


def _set_limits(request: SpawnRequest) -> None:
    for name, limits in request.rlimits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limits)
    os.umask(0o022)


def _enter_namespaces(request: SpawnRequest) -> None:
    """All but pid, which the server has entered before it forked; mnt last, since paths are read before."""
    join = dict(request.join_namespaces)
    if request.netns is not None:
        join["net"] = request.netns
    opened = {name: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for name, path in join.items() if name != "pid"}
    for name in ("ipc", "uts", "net"):
        if name in opened:
            syscalls.setns_fd(opened[name], NAMESPACES[name])
    fresh = Clone(0)
    for name in request.new_namespaces:
        fresh |= NAMESPACES[name] if name not in ("pid", "mnt") else Clone(0)
    if fresh:
        syscalls.unshare(fresh)
    if request.hostname is not None:
        import socket

        socket.sethostname(request.hostname)
    for name, path in request.keep_namespaces.items():
        syscalls.mount(f"/proc/self/ns/{name}", path, flags=Mnt.BIND)
    if "mnt" in opened:
        syscalls.setns_fd(opened["mnt"], Clone.NEWNS)
    elif "mnt" in request.new_namespaces:
        syscalls.unshare(Clone.NEWNS)
        syscalls.mount("none", "/", flags=Mnt.REC | Mnt.PRIVATE)
    for descriptor in opened.values():
        os.close(descriptor)


def build_root(root: str | None, steps: Sequence[Step]) -> None:
    """Enter a new root, perform the steps, and let go of the old one."""
    if root is not None:
        _enter_root(root)
    for step in steps:
        try:
            _STEPS[step.op](step)
        except OSError:
            if not step.optional:
                raise
    if root is not None:
        os.chdir("/")
        syscalls.umount(OLD_ROOT, detach=True)
        with contextlib.suppress(OSError):  # the root may be read-only by now
            os.rmdir(OLD_ROOT)


def _enter_root(root: str) -> None:
    """A tmpfs becomes the root, the old one is found below it.

    Docker's seccomp profile refuses pivot_root to every container; there the tmpfs is moved over the old root instead,
    as `switch_root` does, and the old root is a copy of its mounts.
    """
    syscalls.mount("tmpfs", root, "tmpfs", Mnt.NODEV, "mode=0755")
    os.chdir(root)
    os.makedirs("." + OLD_ROOT, exist_ok=True)
    try:
        syscalls.pivot_root(".", "." + OLD_ROOT)
    except PermissionError:
        syscalls.mount("/", "." + OLD_ROOT, flags=Mnt.BIND | Mnt.REC)
        syscalls.umount("." + OLD_ROOT + os.path.realpath(root), detach=True)  # the copy of this very tmpfs
        syscalls.mount(".", "/", flags=Mnt.MOVE)
        os.chroot(".")
    os.chdir("/")


def _folder(path: str) -> None:
    """Make a folder and its parents. Most steps find the parent there, so that one call is enough."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    except FileNotFoundError:
        os.makedirs(path, exist_ok=True)


def _mkdir(step: Step) -> None:
    _folder(step.target)
    if step.mode != 0o755:
        os.chmod(step.target, step.mode)


def _write(step: Step) -> None:
    if step.source:
        import shutil

        _folder(os.path.dirname(step.target))
        shutil.copyfile(step.source, step.target)
        os.chmod(step.target, step.mode)
        return
    descriptor = _created(step.target, os.O_WRONLY | os.O_TRUNC, step.mode)
    try:
        if step.data:
            _write_all(descriptor, step.data.encode())
        os.fchmod(descriptor, step.mode)
    finally:
        os.close(descriptor)


def _created(path: str, flags: int, mode: int) -> int:
    try:
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)
    except FileNotFoundError:
        _folder(os.path.dirname(path))
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _symlink(step: Step) -> None:
    with contextlib.suppress(FileExistsError):
        os.symlink(step.source, step.target)


def _bind(step: Step) -> None:
    try:
        syscalls.mount(step.source, step.target, flags=_BIND)
    except FileNotFoundError:
        _mount_point(step)
        syscalls.mount(step.source, step.target, flags=_BIND)
    if step.readonly:
        syscalls.make_readonly(step.target)


def _mount_point(step: Step) -> None:
    """What `source` can be mounted over: most are there already. Raises FileNotFoundError without a source."""
    if stat.S_ISDIR(os.stat(step.source).st_mode):
        _folder(step.target)
    elif not os.path.exists(step.target):
        with contextlib.suppress(FileExistsError):
            os.close(_created(step.target, os.O_EXCL, 0o644))


def _mount(step: Step) -> None:
    _folder(step.target)
    syscalls.mount(step.source or step.fstype, step.target, step.fstype, step.flags, step.data)


def _readonly(step: Step) -> None:
    syscalls.make_readonly(step.target, recursive=False)


def _chdir(step: Step) -> None:
    os.chdir(step.target)


_STEPS: dict[str, Callable[[Step], None]] = {
    "mkdir": _mkdir,
    "write": _write,
    "symlink": _symlink,
    "bind": _bind,
    "mount": _mount,
    "readonly": _readonly,
    "chdir": _chdir,
}


def _set_environment(request: SpawnRequest) -> dict[str, str]:
    if request.env is not None:
        os.environ.clear()
        os.environ.update(request.env)
    return dict(os.environ)


def _enter_folder(path: str) -> None:
    with contextlib.suppress(OSError):
        os.makedirs(path, exist_ok=True)
    os.chdir(path)


def _set_credentials(request: SpawnRequest) -> None:
    """The bounding set goes while SETPCAP is there; identity next; what a change of identity would undo comes last."""
    if request.capabilities is not None:
        syscalls.keep_bounding(request.capabilities)
    if request.show_as is not None:
        show_as(*request.show_as)
    if request.sole_owner is not None and request.python is None:
        pretend(request.sole_owner)
    if request.groups is not None:
        os.setgroups(list(request.groups))
    if request.gid is not None:
        os.setresgid(request.gid, request.gid, request.gid)
    if request.uid is not None:
        os.setresuid(request.uid, request.uid, request.uid)
    if request.capabilities is not None:
        syscalls.set_capabilities(request.capabilities if request.show_as is None else ())
    if request.no_new_privs:
        syscalls.set_no_new_privs()
    if request.parent_death_signal is not None:
        syscalls.set_parent_death_signal(request.parent_death_signal)


def show_as(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    syscalls.unshare(Clone.NEWUSER)
    for file, text in (
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{file}", "w") as handle:
            handle.write(text)


def _execute(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """As execvp(3): the first EACCES is remembered and told when nothing else was found."""
    program, refused = argv[0], False
    if not program:
        raise FileNotFoundError(errno.ENOENT, "no command")
    folders = [""] if "/" in program else environment.get("PATH", _PATH).split(":")
    for folder in folders:
        path = os.path.join(folder, program) if folder else program
        if not folder and "/" not in program:
            continue
        try:
            if folder and os.path.isdir(path):
                continue
            os.execve(path, list(argv), dict(environment))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            refused = refused or os.path.exists(path)  # a folder of PATH that is closed to us holds nothing for us
    number = errno.EACCES if refused else errno.ENOENT
    raise OSError(number, os.strerror(number))


def _find(entry: str | None) -> Entry:
    module, _, function = (entry or "").partition(":")
    found: Entry = getattr(importlib.import_module(module), function)
    return found


def _report(report: int, stage: str, error: BaseException) -> None:
    message = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {message}"
    document: dict[str, Any] = {"errno": getattr(error, "errno", None) or 0, "stage": stage, "message": message[:2000]}
    with contextlib.suppress(OSError):
        os.write(report, orjson.dumps(document))


def _call(entry: Entry, request: SpawnRequest) -> NoReturn:
    """Run the function as if this were its own interpreter, and end without returning into the server."""
    gc.enable()
    vars(sys)["argv"] = [request.name or str(request.python), *request.argv]
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", buffering=1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = entry(list(request.argv)) or 0
    except SystemExit as ending:
        code = _exit_code(ending.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    sys.stderr.write(f"{code}\n")
    return 1
