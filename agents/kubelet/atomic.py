"""Writing a volume's files so that readers see all of the old ones or all of the new ones, as upstream's atomic writer.

The files lie in a folder of their own; `..data` is a symlink to it that is replaced by rename; every name at the top is
a symlink through `..data`. A pod that watches the folder sees the rename.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .volumes import File

DATA = "..data"


def write(folder: Path, files: Iterable[File], group: int | None = None) -> bool:
    """Make `folder` hold exactly `files`; whether anything changed. `group` may read them (fsGroup)."""
    wanted = {file.path: file for file in files}
    fresh = not folder.is_dir()
    os.makedirs(folder, exist_ok=True)
    link = folder / DATA
    old = link.resolve() if not fresh and link.is_symlink() else None
    if old is not None and old.is_dir() and _same(old, wanted):
        return False
    new = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    os.chmod(new, 0o755)
    for file in wanted.values():
        _write_file(new, file, group)
    temporary = folder / "..data_tmp"
    names = {Path(path).parts[0] for path in wanted}
    if fresh:
        os.symlink(new.name, link)
        for name in names:
            os.symlink(f"{DATA}/{name}", folder / name)
        return True
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(new.name)
    temporary.rename(link)
    _link_names(folder, names)
    for stale in folder.iterdir():
        if stale.name.startswith("..") and stale.name not in (DATA, new.name) and not stale.is_symlink():
            shutil.rmtree(stale, ignore_errors=True)
    return True


def _write_file(root: Path, file: File, group: int | None) -> None:
    target = root / file.path
    if "/" in file.path:
        target.parent.mkdir(parents=True, exist_ok=True)
    mode = file.mode | 0o440 if group is not None else file.mode
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.data)
        if group is not None:
            own_group(descriptor, group)
        os.fchmod(descriptor, mode)


def own_group(target: int | Path, group: int) -> None:
    """Give a file to a group, where this user may."""
    try:
        os.chown(target, -1, group)
    except OSError:
        return


def _link_names(folder: Path, names: set[str]) -> None:
    for entry in list(folder.iterdir()):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()
    for name in names:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"{DATA}/{name}")


def _same(old: Path, wanted: dict[str, File]) -> bool:
    present = {str(path.relative_to(old)) for path in old.rglob("*") if path.is_file()}
    if present != set(wanted):
        return False
    return all((old / path).read_bytes() == file.data for path, file in wanted.items())
