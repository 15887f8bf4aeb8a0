"""What all entrypoints need: the environment with its files, becoming another user, becoming the program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ...runtime.child import show_as
from ...runtime.identity import exists


class Refused(Exception):
    """The container can't start like this; the message is for its log."""


def setting(environ: Mapping[str, str], *names: str, default: str = "") -> str:
    """The first of these variables that is set, or the content of the file that NAME_FILE names.

    Raises Refused when one is given both ways.
    """
    for name in names:
        path = environ.get(f"{name}_FILE", "")
        if path and environ.get(name):
            raise Refused(f"Both {name} and {name}_FILE are set (but are exclusive)")
        if path:
            try:
                return Path(path).read_text().rstrip("\r\n")
            except OSError as error:
                raise Refused(f"{name}_FILE: {path}: {error.strerror}") from None
        if environ.get(name):
            return environ[name]
    return default


def execute(argv: Sequence[str]) -> NoReturn:
    """Become the program, with the signals as a program expects them. Raises Refused."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        raise Refused(f"{argv[0]}: {error.strerror}") from None


def run(main: object, argv: Sequence[str]) -> int:
    """Call an entrypoint's own part. SIGTERM ends it even as process 1; a refusal is one line and exit code 1."""
    assert callable(main)
    signal.signal(signal.SIGTERM, _end)
    try:
        return int(main(list(argv)) or 0)
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1


def _end(number: int, frame: object) -> NoReturn:
    os._exit(128 + number)


def is_option(argv: Sequence[str]) -> bool:
    """Whether the arguments are the program's own, as the official scripts see it: the first begins with a dash."""
    return not argv or argv[0].startswith("-")


def is_command(word: str) -> bool:
    return shutil.which(word) is not None and not os.path.isdir(word)


def become(uid: int, gid: int, owned: Iterable[str] = ()) -> None:
    """As root: own these folders, and go on as this user. Where only one user exists, look like this one: files that
    belong to the one belong to the other. Others than root stay who they are."""
    if os.geteuid() != 0:
        return
    if not (exists(uid, "uid_map") and exists(gid, "gid_map")):
        show_as(uid, gid)
        return
    for folder in owned:
        _give(folder, uid, gid)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _give(folder: str, uid: int, gid: int) -> None:
    for place, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            with contextlib.suppress(OSError):
                os.chown(os.path.join(place, name), uid, gid, follow_symlinks=False)


def only_one_user() -> bool:
    """Whether this is a root that can't become anybody else."""
    return os.geteuid() == 0 and not exists(33, "uid_map")


def root() -> str:
    """Where the container's own files are: empty, but for the plain runtime."""
    return os.environ.get("PANAL_ROOT", "")


def needs_root_of_its_own(what: str) -> None:
    """Raises Refused in the plain runtime."""
    if root():
        raise Refused(f"the image {what} needs a root file system of its own, which the plain runtime cannot give it")
