"""A container's root file system, as steps: the machine's folders copy-on-write, and what a pod has for itself.

`/` is a tmpfs with links, mount points and the folders that every container has empty. A second one, which nobody sees
once the root is built, is the writable layer: `up/N` and `wk/N` belong to the N-th folder shown copy-on-write, `own/N`
are folders that are the container's alone. Both go with the container's last process, so there is nothing to clean up,
and making folders in memory is ten times faster than on a disk.

In a user namespace with one user the machine's own folders belong to nobody, so what a program may want to write in is
made in the upper layer, whose owner counts.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace

from .machine import View, below
from .request import OLD_ROOT, Step
from .syscalls import Mnt

_SKELETON = (
    "/etc", "/var", "/usr", "/opt", "/srv", "/var/lib", "/var/log", "/var/cache", "/var/tmp", "/var/spool", "/var/www",
    "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/share",
)  # fmt: skip
"""Folders that a container's root may write in, whoever owns them on the machine."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)
_MODES = {"/tmp": 0o1777, "/root": 0o700}
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug")
_READONLY_PROC = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True)
class Abilities:
    """What the kernel has been seen to allow here."""

    overlays: bool = True
    fresh_proc: bool = True

    def after(self, message: str) -> Abilities | None:
        """What to try when building a root failed with this message; None when nothing is left."""
        if message.startswith("mount proc") and self.fresh_proc:
            return Abilities(self.overlays, False)
        if message.startswith("mount overlay") and self.overlays:
            return Abilities(False, self.fresh_proc)
        return None


@dataclass
class Layer:
    """Collects the steps for one container. `root` is the folder that becomes `/`; used again for the layer."""

    root: str
    view: View
    abilities: Abilities
    writable: tuple[str, ...] = ()
    readonly: bool = False
    _own: list[str] = field(default_factory=list)
    _made: set[str] = field(default_factory=set)
    _steps: list[Step] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the folders that every container has. Call it first."""
        self._own = [*self.view.hidden, *self.writable]
        self._steps.append(Step("mount", self._here, fstype="tmpfs", flags=Mnt.NODEV, data="mode=0755"))
        for path in (*self.view.empty, "/dev/pts", "/dev/shm", "/run/lock"):
            self._steps.append(Step("mkdir", path, mode=_MODES.get(path, 0o755)))
        for path in sorted({os.path.dirname(path) for path, _ in self.view.links} - {"/"}):
            self.folder_at(path)
        self._steps += [Step("symlink", path, source=target) for path, target in (*self.view.links, *_LINKS)]
        for number, path in enumerate(self.view.overlays):
            self._steps.append(Step("mkdir", f"{self._here}/wk/{number}", mode=0o700))
            self.folder_at(path)
        self._steps += [Step("mkdir", f"{self._here}/own/{number}") for number, _ in enumerate(self._own)]
        for path in _SKELETON:
            there = self.view.base + path
            if self._overlay(path) and os.path.isdir(there) and not os.path.islink(there):
                self.folder_at(path)
        for path in (*self._own, *self.view.needed):
            self.folder_at(path)

    def copy(self) -> Layer:
        """One that can be added to without changing this one."""
        return replace(self, _own=list(self._own), _made=set(self._made), _steps=list(self._steps))

    def place(self, path: str) -> str | None:
        """Where the container's `path` is made before the mounts; None where the machine's folder is read-only."""
        inside = [number for number, folder in enumerate(self._own) if path != folder and below(path, folder)]
        if inside:
            number = max(inside, key=lambda number: len(self._own[number]))
            return f"{self._here}/own/{number}{path[len(self._own[number]) :]}"
        if found := self._overlay(path):
            return f"{self._here}/up/{found[0]}{path[len(found[1]) :]}"
        return None if any(below(path, folder) for folder in self.view.binds) else path

    def folder_at(self, path: str) -> None:
        """Make a folder that the container sees at `path`, with its parents as the machine has them."""
        place = self.place(path)
        if place is None or place in self._made or path == "/":
            return
        self._made.add(place)
        parent = os.path.dirname(path)
        if self._overlay(path) == self._overlay(parent) and self.place(parent) == os.path.dirname(place):
            self.folder_at(parent)
        self._steps.append(Step("mkdir", place, mode=_mode_of(self.view.base + path)))

    def file_at(self, path: str, text: str = "") -> None:
        """Make a file that the container sees at `path`; those in a folder `bin` and scripts are executable."""
        if not (place := self.place(path)):
            return
        self.folder_at(os.path.dirname(path))
        runs = os.path.basename(os.path.dirname(path)) == "bin" or text.startswith("#!")
        mode = 0o755 if runs else 0o644
        self._steps.append(Step("write", place, data=text, mode=mode))

    def setuid_at(self, path: str, program: str) -> None:
        """Copy a program of the machine to `path`, where it runs as root whoever starts it."""
        if place := self.place(path):
            self.folder_at(os.path.dirname(path))
            self._steps.append(Step("write", place, source=OLD_ROOT + os.path.realpath(program), mode=0o4755))

    def steps(self) -> list[Step]:
        """The root before /proc, /dev and volumes are mounted; sources are found in the old root."""
        return [*self._steps, Step("chdir", self._here), *self._mounts()]

    def _mounts(self) -> list[Step]:
        steps = [self._shown_copy_on_write(number, path) for number, path in enumerate(self.view.overlays)]
        base = OLD_ROOT + self.view.base
        steps += [Step("bind", path, source=base + path, readonly=True) for path in self.view.binds]
        for number, path in enumerate(self._own):
            optional = self._overlay(path) is not None and not self.abilities.overlays
            steps.append(Step("bind", path, source=f"{self._here}/own/{number}", optional=optional))
        steps += [Step("bind", path, source=OLD_ROOT + path, readonly=True) for path in self.view.needed]
        return steps

    @property
    def _here(self) -> str:
        return OLD_ROOT + self.root

    def _overlay(self, path: str) -> tuple[int, str] | None:
        for number, folder in enumerate(self.view.overlays):
            if below(path, folder):
                return number, folder
        return None

    def _shown_copy_on_write(self, number: int, path: str) -> Step:
        if not self.abilities.overlays:
            return Step("bind", path, source=OLD_ROOT + self.view.base + path, readonly=True)
        lower = ":".join(OLD_ROOT + _escaped(folder) for folder in (self.view.base + path, *self._unpacked_below(path)))
        data = f"userxattr,volatile,lowerdir={lower},upperdir=up/{number},workdir=wk/{number}"
        flags = Mnt.NODEV | (Mnt.RDONLY if self.readonly else Mnt.NONE)
        return Step("mount", path, source="overlay", fstype="overlay", flags=flags, data=data)

    def _unpacked_below(self, path: str) -> tuple[str, ...]:
        """The folder that has what the machine's own lacks."""
        folder = f"{self.view.unpacked}{path}"
        return (folder,) if self.view.unpacked and os.path.isdir(folder) else ()


_NOTICED = ("/", "/var", "/usr", "/usr/local")
"""Where the folders of `_SKELETON` appear and go."""
_KEPT = 16


@dataclass
class Layers:
    """Prepared layers, to be copied: looking at the machine's folders for each container anew takes long."""

    _known: dict[tuple[object, ...], Layer] = field(default_factory=dict)

    def of(self, layer: Layer) -> Layer:
        """The layer, prepared. One prepared before serves as long as the machine's folders are the same."""
        key = (layer.root, layer.view, layer.abilities, layer.writable, layer.readonly, _changed(layer.view.base))
        if (known := self._known.get(key)) is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            layer.prepare()
            known = self._known[key] = layer
        return known.copy()


def _changed(base: str) -> tuple[int, ...]:
    """When a folder was last made or removed where it would matter."""
    found = []
    for path in _NOTICED:
        try:
            found.append(os.stat(base + path).st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)


def _escaped(folder: str) -> str:
    """As overlayfs reads a folder's name in its options."""
    return "".join(f"\\{letter}" if letter in ":,\\" else letter for letter in folder)


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


def _mode_of(path: str) -> int:
    """The permissions of the machine's folder, so that covering it changes nothing for others than the owner."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0o755
    return stat.S_IMODE(found.st_mode) | 0o700 if stat.S_ISDIR(found.st_mode) else 0o755
