"""`mounttest`: makes a file in a volume, and says what is there: file system, modes, owners, contents.

The steps keep their order whatever the order of the flags, so that one call can write a file and then look at it.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys
import time
from collections.abc import Callable

from .flags import number, parse

_NEW = "mount-tester new file\n"
_TMPFS = 0x01021994
_PAUSE = 2.0
_FLAGS = {
    "fs-type": "",
    "file-mode": "",
    "file-perm": "",
    "file-owner": "",
    "new-file-0644": "",
    "new-file-0666": "",
    "new-file-0660": "",
    "new-file-0777": "",
    "file-content": "",
    "file-content-in-loop": "",
    "retry-time": "180",
    "break-on-expected-content": "true",
}
_KINDS = ((stat.S_ISDIR, "d"), (stat.S_ISBLK, "D"), (stat.S_ISFIFO, "p"), (stat.S_ISSOCK, "S"), (stat.S_ISCHR, "Dc"))


def main(argv: list[str]) -> int:
    """Exit code 1 if any of the steps failed; the others are made all the same."""
    values, _ = parse(argv, _FLAGS)
    os.umask(0)
    steps: list[tuple[str, Callable[[str], None]]] = [("fs-type", _fs_type)]
    steps += [(f"new-file-{mode}", _new_file(int(mode, 8))) for mode in ("0644", "0666", "0660", "0777")]
    steps += [("file-mode", _file_mode), ("file-perm", _file_perm), ("file-owner", _file_owner)]
    steps += [("file-content", _content)]
    well = True
    for flag, step in steps:
        if values[flag]:
            well = _made(step, values[flag]) and well
    if place := values["file-content-in-loop"]:
        until = values["break-on-expected-content"] == "true"
        well = _in_loop(place, number(values, "retry-time"), until) and well
    return 0 if well else 1


def mode_string(mode: int) -> str:
    """A file's mode in Go's letters: kind, setuid, setgid and sticky bit before the permissions."""
    letters = "".join(letter for of_kind, letter in _KINDS if of_kind(mode))
    for bit, letter in ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t")):
        if mode & bit:
            letters += letter
    return (letters or "-") + stat.filemode(stat.S_IFREG | mode & 0o777)[1:]


def _made(step: Callable[[str], None], place: str) -> bool:
    try:
        step(place)
    except OSError as error:
        _say(f"error with {_quoted(place)}: {(error.strerror or str(error)).lower()}")
        return False
    return True


def _fs_type(place: str) -> None:
    kind = _statfs_type(place)
    _say(f"mount type of {_quoted(place)}: {'tmpfs' if kind == _TMPFS else kind}")


def _statfs_type(place: str) -> int:
    """The first word of the kernel's `struct statfs`, which os.statvfs leaves out. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_long * 32)()
    if libc.statfs(os.fsencode(place), ctypes.byref(words)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)
    return int(words[0])


def _new_file(mode: int) -> Callable[[str], None]:
    def write(place: str) -> None:
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(_NEW)
        _content(place)

    return write


def _file_mode(place: str) -> None:
    _say(f"mode of file {_quoted(place)}: {mode_string(os.stat(place).st_mode)}")


def _file_perm(place: str) -> None:
    _say(f"perms of file {_quoted(place)}: {mode_string(os.stat(place).st_mode & 0o777)}")


def _file_owner(place: str) -> None:
    found = os.stat(place)
    _say(f"owner UID of {_quoted(place)}: {found.st_uid}")
    _say(f"owner GID of {_quoted(place)}: {found.st_gid}")


def _content(place: str) -> None:
    with open(place, errors="replace") as file:
        _say(f"content of file {_quoted(place)}: {file.read()}")


def _in_loop(place: str, seconds: int, until_expected: bool) -> bool:
    """The content every two seconds for so long, or until it is what a new file has."""
    began, well = time.monotonic(), True
    while time.monotonic() - began < seconds:
        try:
            _content(place)
            well = True
            with open(place, errors="replace") as file:
                if until_expected and file.read() == _NEW:
                    break
        except OSError as error:
            well = False
            _say(f"Error reading file {place}: open {place}: {(error.strerror or '').lower()}, retrying")
        time.sleep(_PAUSE)
    return well


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
