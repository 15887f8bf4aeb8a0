"""A container's writable layer: folders prepared on disk, and the steps that make a root file system of them.

    layer/root   what becomes `/`: empty folders and links, mount points
    layer/up/N   what was written over the machine's N-th copy-on-write folder; layer/wk/N is overlayfs' own
    layer/own/N  folders that are the container's alone

In a user namespace with one user the machine's own folders belong to nobody, so what a program may want to write in is
made in the upper layer, whose owner counts. All names come out of the machine's own file system or are made below
`layer`; a link is never followed while preparing.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .machine import View, below
from .request import OLD_ROOT, Step
from .syscalls import Mnt

_SKELETON = (
    "/etc", "/var", "/usr", "/opt", "/srv", "/var/lib", "/var/log", "/var/cache", "/var/tmp", "/var/spool", "/var/www",
    "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/share",
)  # fmt: skip
"""Folders that a container's root may write in, whoever owns them on the machine."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_MODES = {"/tmp": 0o1777, "/root": 0o700}
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug")
_READONLY_PROC = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True)
class Abilities:
    """What the kernel has been seen to allow here."""

    layer: str = "disk"
    """`disk`, `memory` (the disk's file system can't be an upper layer), or `none` (no overlays at all)."""
    fresh_proc: bool = True

    def after(self, message: str) -> Abilities | None:
        """What to try when building a root failed with this message; None when nothing is left."""
        if message.startswith("mount proc") and self.fresh_proc:
            return Abilities(self.layer, False)
        if message.startswith("mount overlay") and self.layer != "none":
            return Abilities("memory" if self.layer == "disk" else "none", self.fresh_proc)
        return None


@dataclass
class Layer:
    """Prepares `folder` and collects the steps. Use it once."""

    folder: str
    view: View
    abilities: Abilities
    writable: tuple[str, ...] = ()
    readonly: bool = False
    _own: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the folders that every container has."""
        for name in (
            "",
            "/root",
            "/up",
            "/wk",
            "/own",
            "/root/dev",
            "/root/dev/pts",
            "/root/dev/shm",
            "/root/run/lock",
        ):
            os.makedirs(self.folder + name, exist_ok=True)
        root = f"{self.folder}/root"
        for path in (*self.view.empty, *self.view.overlays, *self.view.binds):
            os.makedirs(root + path, exist_ok=True)
            if path in _MODES:
                os.chmod(root + path, _MODES[path])
        for path, target in (*self.view.links, *((f"/dev/{name}", where) for name, where in _DEVICE_LINKS.items())):
            with contextlib.suppress(FileExistsError):
                os.symlink(target, root + path)
        for name in _DEVICES:
            os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        for number, path in enumerate(self.view.overlays):
            os.mkdir(f"{self.folder}/wk/{number}")
            _make_like(f"{self.folder}/up/{number}", path)
        self._own = [*self.view.hidden, *self.writable]
        for number, _ in enumerate(self._own):
            os.mkdir(f"{self.folder}/own/{number}")
        for path in _SKELETON:
            if self._overlay(path) and os.path.isdir(path) and not os.path.islink(path):
                self.folder_at(path)
        for path in (*self._own, *self.view.needed):
            self.folder_at(path)

    def place(self, path: str) -> str | None:
        """Where on disk the container's `path` is written to; None where it can't be."""
        best = max(
            (index for index, folder in enumerate(self._own) if path != folder and below(path, folder)),
            key=lambda index: len(self._own[index]),
            default=None,
        )
        if best is not None:
            return f"{self.folder}/own/{best}{path[len(self._own[best]) :]}"
        if found := self._overlay(path):
            return f"{self.folder}/up/{found[0]}{path[len(found[1]) :]}"
        return None if any(below(path, folder) for folder in self.view.binds) else f"{self.folder}/root{path}"

    def folder_at(self, path: str) -> None:
        """Make a folder that the container sees at `path`, with its parents."""
        if place := self.place(path):
            self._make_folders(place, path)

    def file_at(self, path: str, text: str = "") -> None:
        """Make a file that the container sees at `path`; those in a folder `bin` are executable."""
        if not (place := self.place(path)):
            return
        self._make_folders(os.path.dirname(place), os.path.dirname(path))
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        mode = 0o755 if os.path.basename(os.path.dirname(path)) == "bin" else 0o644
        with os.fdopen(os.open(place, flags, mode), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)

    def _make_folders(self, place: str, path: str) -> None:
        missing = []
        while place != self.folder and not os.path.isdir(place):
            missing.append((place, path))
            place, path = os.path.dirname(place), os.path.dirname(path)
        for where, like in reversed(missing):
            _make_like(where, like)

    def _overlay(self, path: str) -> tuple[int, str] | None:
        for number, folder in enumerate(self.view.overlays):
            if below(path, folder):
                return number, folder
        return None

    def steps(self) -> list[Step]:
        """The root before volumes are mounted; sources are found in the old root."""
        here = OLD_ROOT + self.folder
        steps = [Step("chdir", here)]
        if self.abilities.layer == "memory":
            steps += [
                Step("mount", f"{here}/mem", fstype="tmpfs", flags=Mnt.NODEV),
                Step("copy", f"{here}/mem/up", source=f"{here}/up"),
                Step("copy", f"{here}/mem/wk", source=f"{here}/wk"),
                Step("chdir", f"{here}/mem"),
            ]
        for number, path in enumerate(self.view.overlays):
            steps.append(self._shown_copy_on_write(number, path))
        for path in self.view.binds:
            steps.append(Step("bind", path, source=OLD_ROOT + path, readonly=True))
        for number, path in enumerate(self._own):
            optional = self._overlay(path) is not None and self.abilities.layer == "none"
            steps.append(Step("bind", path, source=f"{here}/own/{number}", optional=optional))
        for path in self.view.needed:
            steps.append(Step("bind", path, source=OLD_ROOT + path, readonly=True))
        return steps

    def _shown_copy_on_write(self, number: int, path: str) -> Step:
        if self.abilities.layer == "none":
            return Step("bind", path, source=OLD_ROOT + path, readonly=True)
        data = f"userxattr,volatile,lowerdir={OLD_ROOT}{path},upperdir=up/{number},workdir=wk/{number}"
        flags = Mnt.NODEV | (Mnt.RDONLY if self.readonly else Mnt.NONE)
        return Step("mount", path, source="overlay", fstype="overlay", flags=flags, data=data)


def system_steps(abilities: Abilities, *, guarded: bool) -> list[Step]:
    """/proc, /dev and /sys. `guarded` covers what the machine's root could do harm with."""
    private = Mnt.NOSUID | Mnt.NODEV | Mnt.NOEXEC
    if abilities.fresh_proc:
        steps = [Step("mount", "/proc", fstype="proc", flags=private)]
    else:
        steps = [Step("bind", "/proc", source=f"{OLD_ROOT}/proc")]
    if guarded:
        steps += [Step("bind", path, source=f"{OLD_ROOT}/dev/null", optional=True) for path in _MASKED]
        steps += [Step("bind", path, source=path, readonly=True, optional=True) for path in _READONLY_PROC]
    steps += [Step("bind", f"/dev/{name}", source=f"{OLD_ROOT}/dev/{name}") for name in _DEVICES]
    return [
        *steps,
        Step(
            "mount",
            "/dev/pts",
            fstype="devpts",
            flags=Mnt.NOSUID | Mnt.NOEXEC,
            data="newinstance,ptmxmode=0666,mode=0620",
            optional=True,
        ),
        Step("mount", "/dev/shm", fstype="tmpfs", flags=private, data="mode=1777,size=64m"),
        Step("mount", "/sys", fstype="sysfs", flags=private | Mnt.RDONLY, optional=True),
    ]


def write_files(layer: Layer, files: Mapping[str, str], folders: Iterable[str]) -> None:
    for path, text in files.items():
        layer.file_at(path, text)
    for path in folders:
        layer.folder_at(path)


def _make_like(place: str, path: str) -> None:
    """A folder with the permissions of the machine's folder `path`, if there is one."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o755)
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            os.chmod(place, stat.S_IMODE(found.st_mode) | 0o700)
