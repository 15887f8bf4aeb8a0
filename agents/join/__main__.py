"""`python -m panal.agents.join FOLDER`: announce a cluster; see mdns.py. Its keeper starts it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from panal.paths import ClusterPaths


def main(argv: Sequence[str]) -> int:
    """A cluster that can't be announced is still one that can be named: its keeper doesn't mind the exit code."""
    from .mdns import announce

    try:
        announce(ClusterPaths(Path(argv[0])))
    except (OSError, ImportError) as error:
        sys.stderr.write(f"mdns: the cluster isn't announced: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
