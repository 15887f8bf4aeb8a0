"""`panal backup` and what `panal up --restore` reads: all of a cluster that can't be made anew, in one file.

A backup is a gzipped tar, mode 0600: what the API server has stored (a consistent copy, taken while it runs), the keys
that tokens and certificates of joined machines hang on, the configuration, and the data of provisioned volumes as the
files stand. Nodes, pods and their processes are made anew from it.
"""

from __future__ import annotations

import datetime
import io
import os
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

import click
import orjson

from panal import bundled
from panal.config import ClusterConfig, dump, parse_cluster
from panal.paths import ClusterPaths

from .failure import Failure
from .resolve import Capability, Resolved, Wish, choose_network, choose_proxy_mode
from .running import cluster, configuration

FORMAT = 1
FACTS, CONFIG, STORE, VOLUMES = "backup.json", "cluster.json", "store/store.db", "volumes"
KEYS = ("ca.crt", "ca.key", "sa.key", "sa.pub")
SMALL = 1 << 20
"""Bytes that facts, configuration and a key may have."""


@dataclass(frozen=True)
class Backup:
    """What a backup says of itself."""

    file: Path
    config: ClusterConfig
    folder: str
    """The cluster's folder when it was made: stored objects name paths below it."""
    version: str


def backup(name: str | None, file: Path, volumes: bool, environ: Mapping[str, str]) -> None:
    """Write the backup of a running cluster. An older file stays until the new one is whole. Raises Failure."""
    paths = cluster(name, environ)
    config = configuration(paths)
    if config.joined is not None:
        raise Failure("this machine has joined another one's cluster; make the backup where the control plane is.")
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with tempfile.TemporaryDirectory(dir=paths.root) as folder:
            store = Path(folder) / "store.db"
            _copy_store(paths.store / "store.db", store)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                count = _write(target, config, paths, store, volumes)
                target.flush()
                os.fsync(target.fileno())
        os.replace(part, file)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise Failure(f"the backup {file} can't be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{file}: {file.stat().st_size >> 10} KiB, {count} objects; it holds the cluster's keys: keep it safe.")


def _copy_store(source: Path, target: Path) -> None:
    """A copy of one moment, while the API server goes on writing."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as running,
        closing(sqlite3.connect(target)) as copy,
    ):
        running.backup(copy)


def _write(target: IO[bytes], config: ClusterConfig, paths: ClusterPaths, store: Path, volumes: bool) -> int:
    """How many objects it holds."""
    with closing(sqlite3.connect(store)) as copy:
        (count,) = copy.execute(
            "SELECT count(*) FROM (SELECT value, max(revision) FROM history GROUP BY key) WHERE value IS NOT NULL"
        ).fetchone()
    facts = {
        "format": FORMAT,
        "version": bundled.VERSION,
        "folder": os.fspath(paths.root),
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "objects": count,
    }
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=3) as tar:
        _add_bytes(tar, FACTS, orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        _add_bytes(tar, CONFIG, dump(config))
        for name in KEYS:
            _add_bytes(tar, f"pki/{name}", (paths.pki / name).read_bytes())
        tar.add(store, STORE)
        if volumes and paths.volumes.is_dir():
            for path in _below(paths.volumes):
                tar.inodes.clear()  # type: ignore[attr-defined]  # each name a file of its own
                tar.add(path, f"{VOLUMES}/{path.relative_to(paths.volumes)}", recursive=False)
    return int(count)


def _below(folder: Path) -> Iterator[Path]:
    """Folders, files and links; sockets and pipes are their program's to make again."""
    for entry in sorted(folder.iterdir()):
        mode = entry.lstat().st_mode
        if stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            yield entry
        if stat.S_ISDIR(mode):
            yield from _below(entry)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    tar.addfile(info, io.BytesIO(content))


def read(file: Path) -> Backup:
    """Look into a backup. Raises Failure."""
    try:
        with tarfile.open(file, "r:gz") as tar:
            facts = orjson.loads(_bytes(tar, FACTS))
            config = parse_cluster(_bytes(tar, CONFIG))
            if facts["format"] != FORMAT:
                raise ValueError(f"its format is {facts['format']}, and this Panal reads {FORMAT}")
            return Backup(file, config, str(facts["folder"]), str(facts["version"]))
    except OSError as error:
        raise Failure(f"{file} can't be read: {error.strerror or error}.") from error
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError) as error:
        raise Failure(f"{file} is no backup that this Panal can use: {error}.") from error


def _bytes(tar: tarfile.TarFile, name: str) -> bytes:
    info = tar.getmember(name)
    found = tar.extractfile(info) if info.isreg() and info.size <= SMALL else None
    if found is None:
        raise ValueError(f"{name} is no small file")
    return found.read()


def resolved(found: Backup, wish: Wish, name: str, capability: Capability) -> Resolved:
    """The backup's configuration, if this machine can do what it says. Raises Failure."""
    if wish.config is not None or wish.nodes is not None:
        raise Failure("--restore brings the cluster's own configuration; leave --config and --nodes out.")
    config = found.config
    notes = [f"restored from {found.file}, made by {found.version}"]
    network = choose_network(wish.network or config.network, capability, notes)
    if network != config.network:
        raise Failure(f"the backup is of a cluster in the {config.network} network; its addresses are of that.")
    mode = choose_proxy_mode(wish.proxy_mode or config.proxy_mode, network, capability, notes)
    config = replace(config, name=name, proxy_mode=mode, api_port=0, http_port=0)
    return Resolved(config, tuple(notes), capability.low_ports or network != "loopback")


def unpack(found: Backup, paths: ClusterPaths) -> None:
    """Put the backup's content into the cluster's folder, which is new. Raises Failure."""
    try:
        with tarfile.open(found.file, "r:gz") as tar:
            members = [info for info in tar.getmembers() if _wanted(info)]
            for info in sorted(members, key=lambda info: info.issym()):  # nothing is written through a link
                _place(tar, info, paths.root)
            for info in reversed([info for info in members if info.isdir()]):
                os.chmod(paths.root / info.name, info.mode & 0o7777)
        _move(paths.store / "store.db", found.folder, os.fspath(paths.root))
    except (OSError, sqlite3.Error, tarfile.TarError, EOFError) as error:
        raise Failure(f"{found.file} can't be restored: {error}.") from error


def _wanted(info: tarfile.TarInfo) -> bool:
    """Whether the member belongs into the folder. Raises Failure for a backup that somebody tampered with."""
    parts: Sequence[str] = PurePosixPath(info.name).parts
    if info.name.startswith("/") or ".." in parts or not (info.isreg() or info.isdir() or info.issym()):
        raise Failure(f"the backup has {info.name!r}, which no backup of Panal's has; it is not used.")
    return info.name == STORE or parts[0] == VOLUMES or info.name in {f"pki/{name}" for name in KEYS}


def _place(tar: tarfile.TarFile, info: tarfile.TarInfo, root: Path) -> None:
    target = root / info.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if info.isdir():
        target.mkdir(mode=0o700, exist_ok=True)
    elif info.issym():
        os.symlink(info.linkname, target)
    else:
        content = tar.extractfile(info)
        assert content is not None
        with content, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while part := content.read(1 << 20):
                file.write(part)
        if info.name.startswith(VOLUMES):
            os.chmod(target, info.mode & 0o7777)
            os.utime(target, (info.mtime, info.mtime))
    if os.geteuid() == 0:
        os.chown(target, info.uid, info.gid, follow_symlinks=False)


def _move(store: Path, before: str, now: str) -> None:
    """Let the stored objects name the paths of the folder they are in now."""
    if before == now:
        return
    old, new = (orjson.dumps(text)[1:-1] for text in (before, now))

    def moved(value: bytes) -> bytes:
        for end in (b"/", b'"'):
            value = value.replace(old + end, new + end)
        return value

    with closing(sqlite3.connect(store)) as connection, connection:
        connection.create_function("moved", 1, moved, deterministic=True)
        connection.execute("UPDATE history SET value = moved(value) WHERE instr(value, ?) > 0", (old,))
