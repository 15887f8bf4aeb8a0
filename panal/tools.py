"""Debian programs unpacked beside the system instead of installed (scripts/tools.sh), so that no root is needed.

`$PANAL_TOOLS`, by default the folder `.tools` of this checkout, holds `bin` (each program, startable as it lies) and
`root` (the unpacked packages, `usr/sbin/nginx` and so on). A container sees `root` under its own files, as if
the packages were installed.
"""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctypes import CDLL

_SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def folder(environ: Mapping[str, str]) -> Path | None:
    """Where the unpacked programs are; None when there are none."""
    chosen = environ.get("PANAL_TOOLS")
    path = Path(chosen) if chosen else Path(__file__).resolve().parents[1] / ".tools"
    return path if path.is_absolute() and (path / "root").is_dir() else None


def which(program: str, environ: Mapping[str, str], *, path: str = "") -> str | None:
    """The program on `path`, else where Debian puts it (also root's folders), else among the unpacked ones,
    else beside the interpreter.

    An absolute path is a file's, in which * may stand; found as a container sees it, unpacked or not.
    """
    tools = folder(environ)
    if program.startswith("/"):
        return _file(program, tools)
    beside = os.path.dirname(sys.executable)  # programs that come as Python packages
    places = [path, *_SYSTEM, *([str(tools / "bin")] if tools else []), beside]
    return shutil.which(program, path=os.pathsep.join(place for place in places if place))


def shared_library(name: str, environ: Mapping[str, str]) -> CDLL:
    """The shared library where the loader looks, else the unpacked one. Raises OSError when it is in neither place."""
    from ctypes import CDLL

    try:
        return CDLL(name)
    except OSError:
        tools = folder(environ)
        found = next(tools.glob(f"root/usr/lib/*/{name}"), None) if tools else None
        if found is None:
            raise
        return _with_neighbours(found)


def _with_neighbours(path: Path) -> CDLL:
    """A library outside the loader's places: those beside it that it needs are loaded before it."""
    from ctypes import CDLL

    missing = ""
    while True:
        try:
            return CDLL(str(path))
        except OSError as error:
            beside = path.with_name(str(error).partition(":")[0])
            if beside.name == missing or not beside.exists():
                raise
            missing = beside.name
            _with_neighbours(beside)


def _file(pattern: str, tools: Path | None) -> str | None:
    for place in ("", *([str(tools / "root")] if tools else [])):
        if found := glob.glob(place + pattern):
            return max(found).removeprefix(place)
    return None


def point_inside(folder: Path, unpacked: str | None) -> None:
    """Let links to unpacked programs name them as a container sees them."""
    for link in folder.iterdir() if unpacked else ():
        if link.is_symlink() and (target := os.readlink(link)).startswith(f"{unpacked}/"):
            link.unlink()
            link.symlink_to(target.removeprefix(str(unpacked)))
