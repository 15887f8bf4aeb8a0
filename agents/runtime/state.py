"""What the runtime knows, one JSON file a sandbox and a container, so that its own death loses nothing.

    runtime/sandboxes/ID/sandbox.json, hosts, resolv.conf, ipc, uts
    runtime/containers/ID/container.json, stdout, stderr, layer/

Each file is written to its end, a line for each change, and its last readable line counts: to put a new file in an old
one's place makes the file system write out the new one first. Nothing is synced: a machine that crashes takes the
processes with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from ..images import ImageSpec
from .contract import Container, ContainerConfig, ContainerState, Mount, Sandbox, SandboxConfig

Record = TypeVar("Record")


@dataclass
class SandboxRecord:
    """A sandbox on disk. Written before its network is attached (`ip` empty then) and after."""

    id: str
    config: SandboxConfig
    created_at: float
    ip: str = ""
    netns: str | None = None
    ready: bool = True
    pause_pid: int | None = None
    """Process 1 of a shared process namespace."""
    pause_start: int | None = None
    warnings: tuple[str, ...] = ()

    def shown(self) -> Sandbox:
        return Sandbox(self.id, self.config, self.ip, self.ready, self.created_at, self.warnings)


@dataclass
class ContainerRecord:
    """A container on disk. `pid` and `start` name its process together.

    One with a terminal has its exit code while it still runs: its process has ended, its last words are being read.
    """

    id: str
    sandbox_id: str
    config: ContainerConfig
    image: ImageSpec
    created_at: float
    state: ContainerState = ContainerState.CREATED
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    pid: int | None = None
    start: int | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = field(default=())

    def shown(self) -> Container:
        ended = self.state is ContainerState.EXITED
        return Container(
            id=self.id,
            sandbox_id=self.sandbox_id,
            config=self.config,
            state=self.state,
            image_ref=self.image.ref,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at if ended else None,
            exit_code=self.exit_code if ended else None,
            signal=self.signal if ended else None,
            oom_killed=self.oom_killed,
            pid=self.pid if self.state is ContainerState.RUNNING else None,
            message=self.message,
            warnings=self.warnings,
        )


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}


def sandbox_config(raw: dict[str, Any]) -> SandboxConfig:
    aliases = tuple((address, tuple(names)) for address, names in raw.get("host_aliases", ()))
    return SandboxConfig(**{**_tuples(raw), "host_aliases": aliases})


def container_config(raw: dict[str, Any]) -> ContainerConfig:
    mounts = tuple(Mount(**mount) for mount in raw.get("mounts", ()))
    return ContainerConfig(**{**_tuples(raw), "mounts": mounts})


def image_spec(raw: dict[str, Any]) -> ImageSpec:
    return ImageSpec(**_tuples(raw))


def _sandbox(raw: dict[str, Any]) -> SandboxRecord:
    config = sandbox_config(raw["config"])
    return SandboxRecord(**{**raw, "config": config, "warnings": tuple(raw["warnings"])})


def _container(raw: dict[str, Any]) -> ContainerRecord:
    return ContainerRecord(
        **{
            **raw,
            "config": container_config(raw["config"]),
            "image": image_spec(raw["image"]),
            "state": ContainerState(raw["state"]),
            "warnings": tuple(raw["warnings"]),
            "cgroups": tuple(raw["cgroups"]),
        }
    )


class State:
    """The folder `runtime/` of a node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in (self._sandboxes, self._containers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def _sandboxes(self) -> Path:
        return self.root / "sandboxes"

    @property
    def _containers(self) -> Path:
        return self.root / "containers"

    def sandbox_folder(self, sandbox_id: str) -> Path:
        return self._sandboxes / sandbox_id

    def container_folder(self, container_id: str) -> Path:
        return self._containers / container_id

    def save_sandbox(self, record: SandboxRecord) -> None:
        _append(self.sandbox_folder(record.id) / "sandbox.json", record)

    def save_container(self, record: ContainerRecord) -> None:
        _append(self.container_folder(record.id) / "container.json", record)

    def load_sandboxes(self) -> Iterator[SandboxRecord]:
        return _load(self._sandboxes, "sandbox.json", _sandbox)

    def load_containers(self) -> Iterator[ContainerRecord]:
        return _load(self._containers, "container.json", _container)

    def forget_sandbox(self, sandbox_id: str) -> None:
        _forget(self.sandbox_folder(sandbox_id), "sandbox.json")

    def forget_container(self, container_id: str) -> None:
        _forget(self.container_folder(container_id), "container.json")


def _append(path: Path, record: SandboxRecord | ContainerRecord) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700)
        descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, b"\n" + orjson.dumps(record))
    finally:
        os.close(descriptor)


def _last(content: bytes) -> Any:
    """The last line that is whole. Raises ValueError without one."""
    for line in reversed(content.splitlines()):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(line)
    raise ValueError("no whole line")


def _load(folder: Path, name: str, parse: Callable[[dict[str, Any]], Record]) -> Iterator[Record]:
    """What can be read; a folder without its file was being made or removed when the runtime died, and goes."""
    for entry in sorted(folder.iterdir()):
        try:
            yield parse(_last((entry / name).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            remove_tree(entry)


def _forget(folder: Path, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        (folder / name).unlink()
    remove_tree(folder)


def remove_tree(folder: str | os.PathLike[str]) -> None:
    """Remove a folder and all in it, folders without permissions too. Follows no links; what can't be removed stays."""
    try:
        entries = list(os.scandir(folder))
    except PermissionError:
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
            entries = list(os.scandir(folder))
            _remove_entries(folder, entries)
        return
    except OSError:
        return
    _remove_entries(folder, entries)


def _remove_entries(folder: str | os.PathLike[str], entries: list[os.DirEntry[str]]) -> None:
    """A folder that lets us list but not remove is opened up first."""
    if entries and not os.access(folder, os.W_OK | os.X_OK):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
