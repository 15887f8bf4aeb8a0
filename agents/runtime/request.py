"""What a spawner is asked to start: plain data that crosses a socket as JSON, with its file descriptors beside it.

The order in which a child applies it is `child.become`'s business. Paths are those of the spawner's mount namespace,
except that after `root` was entered the old root is found under `OLD_ROOT` while `steps` are performed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

OLD_ROOT = "/.panal-old"
"""Where the machine's file system is found inside a new root while its mounts are made; gone afterwards."""

Operation = Literal["mkdir", "write", "symlink", "bind", "mount", "readonly", "chdir"]


class Step(NamedTuple):
    """One step in building a root file system. A container takes some ninety, which is why they are tuples.

    `mkdir` makes `target` with its parents; `write` makes a file holding `data`, or a copy of `source`; `symlink` makes
    `target` point to `source`; `bind` shows `source` (with what is mounted below it) at `target`, which is made;
    `mount` mounts `fstype`; `readonly` makes the mount at `target` read-only, without those below it; `chdir` enters
    `target`, so that paths in later `data` may be relative. An `optional` step may fail.
    """

    op: Operation
    target: str
    source: str = ""
    fstype: str = ""
    flags: int = 0
    data: str = ""
    mode: int = 0o755
    readonly: bool = False
    optional: bool = False


@dataclass(frozen=True)
class SpawnRequest:
    """A process to start. Descriptors are the asker's own numbers; they stay open in the asker."""

    argv: Sequence[str]
    """`exec`: the whole argument vector. `python`: exactly what the function gets."""
    python: str | None = None
    """`module:function`, called in the forked process as `function(argv) -> exit code`; nothing is executed then."""
    name: str = ""
    """A `python` process's name, shown before `argv` by ps and in /proc/PID/comm."""
    env: Mapping[str, str] | None = None
    """The whole environment; None inherits the spawner's."""
    cwd: str = "/"
    """Made when it is missing."""
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    """None is /dev/null."""
    terminal: bool = False
    """stdin is a terminal, and becomes the one that controls the process."""
    fds: Mapping[int, int] = field(default_factory=dict)
    """More descriptors: number in the child -> number in the asker."""
    netns: str | None = None
    """Path of the network namespace to enter."""
    new_namespaces: Sequence[str] = ()
    """Of mnt, pid, ipc, uts, net. A process in a new pid namespace is its process 1."""
    join_namespaces: Mapping[str, str] = field(default_factory=dict)
    """Name (as in new_namespaces) -> path to enter."""
    keep_namespaces: Mapping[str, str] = field(default_factory=dict)
    """Name -> an existing file over which the namespace is bind-mounted, so that others can join it."""
    root: str | None = None
    """A folder over which a tmpfs is mounted that becomes `/` before `steps`; needs a new mnt namespace."""
    steps: Sequence[Step] = ()
    hostname: str | None = None
    uid: int | None = None
    gid: int | None = None
    groups: Sequence[int] | None = None
    show_as: tuple[int, int] | None = None
    """(uid, gid) as which the process sees itself, through a user namespace, where it can't change to them."""
    sole_owner: tuple[int, int] | None = None
    """(uid, gid) that alone exist: a program it executes may give files to others, which changes nothing."""
    capabilities: Sequence[str] | None = None
    """The ones to keep, without CAP_; None keeps all."""
    no_new_privs: bool = False
    rlimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Such as {"NOFILE": (soft, hard)}."""
    cgroups: Sequence[str] = ()
    """Folders of cgroups to enter before anything else."""
    parent_death_signal: int | None = None


def encode(number: int, request: SpawnRequest) -> tuple[bytes, list[int]]:
    """The request as JSON and the descriptors to send with it; `number` comes back in the answer."""
    wanted = {0: request.stdin, 1: request.stdout, 2: request.stderr, **request.fds}
    passed = {target: own for target, own in wanted.items() if own is not None}
    body = {**vars(request), "fds": {}, "steps": [list(step) for step in request.steps]}
    document = {"op": "spawn", "number": number, "targets": list(passed), "request": body}
    return orjson.dumps(document), list(passed.values())


def decode(body: Mapping[str, Any]) -> SpawnRequest:
    """The request that `encode` wrote; its descriptors are not in it."""
    return SpawnRequest(
        **{
            **body,
            "steps": tuple(Step(*step) for step in body["steps"]),
            "rlimits": {name: (soft, hard) for name, (soft, hard) in body["rlimits"].items()},
            "show_as": tuple(body["show_as"]) if body["show_as"] else None,
            "sole_owner": tuple(body["sole_owner"]) if body["sole_owner"] else None,
        }
    )
