"""Which parts of the machine's file system a container sees, and how.

Pure but for `look`, which asks the machine once. Everything known to be somebody's own (homes, Panal's files) is left
out; what the interpreter and Panal's package need stays visible wherever it lies.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

_OWN = frozenset({"dev", "proc", "sys", "run", "tmp", "home", "root", "mnt", "media", "lost+found", "boot"})
"""Top-level folders that a container has for itself, most of them empty."""
_COPY_ON_WRITE = frozenset({"etc", "usr", "var", "opt", "srv"})
_POD_FILES = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
"""Files that every pod has for itself; in a container of somebody's they are mounts."""
_MOUNTS_LIMIT = 32
_SPLIT_LIMIT = 128
"""A folder with mounts below it is shown entry by entry if it has no more entries than this, else read-only."""
_SPLIT_DEPTH = 2
"""So far down: `/var` and, in it, `/var/lib`, where many machines have mounts (`/var/lib/docker`)."""


@dataclass(frozen=True)
class View:
    """`/` of a container before its own mounts. Paths are absolute and without symbolic links."""

    overlays: tuple[str, ...]
    """Shown copy-on-write."""
    binds: tuple[str, ...]
    """Shown read-only, with the mounts below them."""
    links: tuple[tuple[str, str], ...]
    """Symbolic links in `/`, and in folders that are shown entry by entry: (path, target)."""
    empty: tuple[str, ...]
    """Empty folders in `/`."""
    hidden: tuple[str, ...]
    """Folders that lie inside what is shown and are covered by an empty one."""
    needed: tuple[str, ...]
    """Shown read-only although they lie in a hidden folder."""
    base: str = ""
    """The folder that all these paths lie in: an image's root file system, or nothing for the machine's own."""
    unpacked: str | None = None
    """A folder whose `usr`, `etc` and so on are seen under the machine's own, where these lack a file."""


def below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def arrange(
    entries: Mapping[str, str | None],
    mounts: Iterable[str],
    *,
    private: Sequence[str],
    needed: Sequence[str],
    children: Mapping[str, Mapping[str, str | None]],
    locked: bool,
) -> View:
    """The view for a machine whose `/` holds `entries` (name -> target of a link or None for a folder).

    `mounts` are the mount points, `private` the folders to hide, `children` the entries of folders with mounts below.
    In a user namespace these mounts are `locked`: what lies around them can't be the lower layer of an overlay.
    """
    overlays: list[str] = []
    binds: list[str] = []
    links = [(f"/{name}", target) for name, target in sorted(entries.items()) if target is not None]
    shown = {f"/{name}" for name, target in entries.items() if target is None and name not in _OWN}
    mounted = [path for path in mounts if not any(below(path, folder) for folder in private)]

    def entry_by_entry(folder: str, inside: Sequence[str]) -> None:
        found = children.get(folder, {})
        if folder in inside or not 0 < len(found) <= _SPLIT_LIMIT:
            binds.append(folder)
            return
        links.extend((path, target) for path, target in sorted(found.items()) if target is not None)
        for path in sorted(path for path, target in found.items() if target is None):
            if deeper := [mount for mount in inside if below(mount, path)]:
                entry_by_entry(path, deeper)
            else:
                overlays.append(path)

    for folder in sorted(shown):
        if folder[1:] not in _COPY_ON_WRITE:
            binds.append(folder)
            continue
        inside = [path for path in mounted if path != folder and below(path, folder)]
        if not inside:
            overlays.append(folder)
        elif not locked:
            overlays.append(folder)
            binds.extend(path for path in _outermost(inside)[:_MOUNTS_LIMIT] if path not in _POD_FILES)
        elif folder == "/etc":
            binds.append(folder)
        else:
            entry_by_entry(folder, inside)
    hidden = _outermost(path for path in private if any(below(path, folder) for folder in shown))
    covered = [*hidden, *(f"/{name}" for name in _OWN)]
    return View(
        overlays=tuple(overlays),
        binds=tuple(binds),
        links=tuple(links),
        empty=tuple(f"/{name}" for name in sorted(_OWN) if name not in ("lost+found", "boot")),
        hidden=hidden,
        needed=_outermost(path for path in needed if any(below(path, folder) for folder in covered)),
    )


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(below(path, other) for other in kept):
            kept.append(path)
    return tuple(kept)


def look(private: Sequence[str], unpacked: str | None = None) -> View:
    """The view of this machine. `private` are folders to hide besides the users' homes; see `View.unpacked`."""
    entries = _entries("/")
    mounts = mount_points()
    homes = [os.path.realpath(os.environ.get("HOME") or "/root"), *_service_homes()]
    view = arrange(
        entries,
        mounts,
        private=[path for path in [*map(os.path.realpath, private), *homes] if path != "/"],
        needed=needed_paths(),
        children=_children([f"/{name}" for name in _COPY_ON_WRITE & entries.keys()], mounts, _SPLIT_DEPTH),
        locked=in_user_namespace(),
    )
    return replace(view, unpacked=unpacked)


def _children(folders: Iterable[str], mounts: Sequence[str], depth: int) -> dict[str, dict[str, str | None]]:
    """What lies in those `folders` that have mounts below them, and in such folders there, to this depth."""
    found: dict[str, dict[str, str | None]] = {}
    for folder in folders:
        if depth and any(path != folder and below(path, folder) for path in mounts):
            found[folder] = {f"{folder}/{name}": target for name, target in _entries(folder).items()}
            found |= _children([path for path, target in found[folder].items() if target is None], mounts, depth - 1)
    return found


def of_image(rootfs: str) -> View:
    """The view of a root file system in a folder: all of it copy-on-write, files in `/` read-only."""
    own = ("dev", "proc", "run", "sys", "tmp")
    entries = {name: target for name, target in _entries(rootfs).items() if name not in own}
    files = [entry.name for entry in os.scandir(rootfs) if entry.is_file(follow_symlinks=False)]
    return View(
        overlays=tuple(f"/{name}" for name, target in sorted(entries.items()) if target is None),
        binds=tuple(f"/{name}" for name in sorted(files)),
        links=tuple((f"/{name}", target) for name, target in sorted(entries.items()) if target is not None),
        empty=tuple(f"/{name}" for name in own),
        hidden=(),
        needed=(),
        base=rootfs,
    )


def follow(base: str, path: str) -> str:
    """The path without symbolic links, as whoever has `base` as its root would follow them."""
    if not base:
        return os.path.realpath(path)
    done, left, patience = "", [part for part in path.split("/") if part], 40
    while left:
        part = left.pop(0)
        if part in (".", ".."):
            done = os.path.dirname(done).rstrip("/") if part == ".." else done
            continue
        try:
            target = os.readlink(f"{base}{done}/{part}")
        except OSError:
            done = f"{done}/{part}"
            continue
        patience -= 1
        if not patience:
            return path
        done = "" if target.startswith("/") else done
        left[:0] = [word for word in target.split("/") if word]
    return done or "/"


def _entries(folder: str) -> dict[str, str | None]:
    """Name -> target of a symbolic link, or None for a folder; files are left out, as is what may not be read."""
    found: dict[str, str | None] = {}
    try:
        entries = list(os.scandir(folder))
    except PermissionError:
        return found
    for entry in entries:
        if entry.is_symlink():
            found[entry.name] = os.readlink(entry.path)
        elif entry.is_dir():
            found[entry.name] = None
    return found


def in_user_namespace() -> bool:
    """Whether not every user of the machine exists here."""
    with open("/proc/self/uid_map") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def _service_homes() -> list[str]:
    """The home that the password file gives this user."""
    import pwd

    try:
        return [os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir)]
    except KeyError:
        return []


def mount_points() -> list[str]:
    """Every mount point of this mount namespace, but `/`."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split(" ", 5)[4].encode("latin-1", "replace").decode("unicode_escape") for line in file]
    return [point for point in points if point != "/"]


def needed_paths() -> list[str]:
    """What the interpreter, the installed packages and Panal itself are loaded from."""
    from importlib.util import find_spec

    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path.endswith("-packages"))}
    for name in ("panal", "panal.agents", "panal.controlplane", "panal.proxy"):
        spec = find_spec(name)
        if spec is not None:
            places.update(spec.submodule_search_locations or ())
    resolved = {os.path.realpath(place) for place in places} | places
    return sorted(place for place in resolved if place != "/" and _is_folder(place))


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False
