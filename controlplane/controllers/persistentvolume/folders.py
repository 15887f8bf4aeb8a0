"""The folders of provisioned volumes, below one folder of the cluster's state. Names are built from uids only."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path


class Folders:
    """`root` holds one folder a volume. Every method blocks: call it in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        if not name.startswith("pvc-") or "/" in name:
            raise ValueError(f"{name!r} is no provisioned volume")
        return self._root / name

    def make(self, name: str) -> Path:
        """The folder, for whoever a container runs as to write in. Raises OSError."""
        path = self.path(name)
        path.mkdir(exist_ok=True)
        os.chmod(path, 0o777)
        return path

    def remove(self, name: str) -> None:
        """The folder with all it holds; links in it are not followed. Raises OSError."""
        path = self.path(name)
        if path.is_symlink():
            path.unlink()
        else:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)

    def sweep(self, wanted: Callable[[str], bool]) -> None:
        """Take away empty folders that no volume has: we ended between making one and saying so."""
        with contextlib.suppress(FileNotFoundError):
            for entry in self._root.iterdir():
                if entry.name.startswith("pvc-") and not wanted(entry.name):
                    with contextlib.suppress(OSError):
                        entry.rmdir()
