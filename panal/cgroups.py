"""Where a cluster's cgroups are: below each controller's root, in `panal/NAME`, so that whoever cleans up finds them.

They exist only where the machine's root runs the cluster. The runtime makes them; keeper, steward and `panal down` take
away what is left when the processes are gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
"""Those of the first generation that are used; each has a tree of its own there."""


def name(folder: str | os.PathLike[str]) -> str:
    """The cgroup of the cluster in this folder: clusters of one name under different homes keep apart."""
    path = os.path.realpath(folder)
    return f"{os.path.basename(path)}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def remove(folder: str | os.PathLike[str], root: Path = ROOT) -> None:
    """Remove the cluster's cgroups and their parent if it was the last. Those with processes stay."""
    for tree in _trees(root):
        place = tree / "panal" / name(folder)
        if not place.is_dir():
            continue
        below = [Path(path) for path, _, _ in os.walk(place, topdown=False)]
        for child in [*below, place.parent]:
            with contextlib.suppress(OSError):
                child.rmdir()


def _trees(root: Path) -> Iterator[Path]:
    yield root
    yield from (root / controller for controller in _CONTROLLERS)
