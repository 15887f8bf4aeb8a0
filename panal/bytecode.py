"""The processes of a cluster run code without docstrings and assertions (python -OO): a twelfth less memory.

Docstrings lie among what a running function touches, in pages that every process would have for itself. Python keeps
such code apart from the usual, and most of the standard library's is not there at all, so it gets a folder of its own
beside this package: nothing is written into the system's folders, and nothing is compiled at each start.
`python -m panal.agents.node.compile` fills it beforehand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "__pycache__" / "optimized"


def options(environ: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """Arguments for the interpreter; none where the compiled code can neither be found nor kept."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    kept = not environ.get("PYTHONDONTWRITEBYTECODE") and os.access(place, os.W_OK)
    return ["-OO", "-X", f"pycache_prefix={folder}"] if folder.exists() or kept else []
