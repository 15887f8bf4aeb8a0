"""Backups: what is in them, what is refused, and that a restored store names the folder it is in now."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from panal.command import backup
from panal.command.failure import Failure
from panal.command.resolve import Wish
from panal.config import dump
from panal.paths import ClusterPaths

from ...onenode import ONE_NODE

PATHS = ("/old/clusters/lab/volumes/pvc-1", "/old/clusters/lab", "/old/clusters/lab2/else")


def a_cluster(root: Path) -> ClusterPaths:
    paths = ClusterPaths(root)
    for folder in (paths.store, paths.pki, paths.volumes / "pvc-1" / "sub"):
        folder.mkdir(parents=True)
    for name in backup.KEYS:
        (paths.pki / name).write_text(name)
    paths.config.write_bytes(dump(ONE_NODE))
    with closing(sqlite3.connect(paths.store / "store.db")) as store, store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE history (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB)")
        values = [orjson.dumps({"path": path}) for path in PATHS]
        store.executemany("INSERT INTO history VALUES (?, ?, ?)", [(n, f"/k{n}", v) for n, v in enumerate(values, 1)])
    (paths.volumes / "pvc-1" / "sub" / "data").write_text("honey")
    (paths.volumes / "pvc-1" / "sub" / "data").chmod(0o640)
    os.symlink("/etc/passwd", paths.volumes / "pvc-1" / "link")
    os.mkfifo(paths.volumes / "pvc-1" / "pipe")
    return paths


def write(paths: ClusterPaths, file: Path, folder: str, volumes: bool = True) -> backup.Backup:
    copy = file.with_suffix(".db")
    backup._copy_store(paths.store / "store.db", copy)
    with file.open("wb") as target:
        assert backup._write(target, ONE_NODE, paths, copy, volumes) == len(PATHS)
    found = backup.read(file)
    return backup.Backup(file, found.config, folder, found.version)


def stored(paths: ClusterPaths) -> list[str]:
    with closing(sqlite3.connect(paths.store / "store.db")) as store:
        return [orjson.loads(row[0])["path"] for row in store.execute("SELECT value FROM history ORDER BY revision")]


def test_what_a_backup_brings_back_is_what_there_was_and_names_its_new_folder(tmp_path: Path) -> None:
    found = write(a_cluster(tmp_path / "before"), tmp_path / "backup.tar.gz", "/old/clusters/lab")
    assert found.config == ONE_NODE
    paths = ClusterPaths(tmp_path / "now")
    paths.root.mkdir()
    backup.unpack(found, paths)
    assert stored(paths) == [f"{paths.root}/volumes/pvc-1", f"{paths.root}", PATHS[2]]
    for name in backup.KEYS:
        assert (paths.pki / name).read_text() == name
        assert (paths.pki / name).stat().st_mode & 0o777 == 0o600
    data = paths.volumes / "pvc-1" / "sub" / "data"
    assert (data.read_text(), data.stat().st_mode & 0o777) == ("honey", 0o640)
    assert os.readlink(paths.volumes / "pvc-1" / "link") == "/etc/passwd"
    assert not (paths.volumes / "pvc-1" / "pipe").exists()


def test_volumes_can_be_left_out(tmp_path: Path) -> None:
    found = write(a_cluster(tmp_path / "before"), tmp_path / "backup.tar.gz", "/old", volumes=False)
    paths = ClusterPaths(tmp_path / "now")
    paths.root.mkdir()
    backup.unpack(found, paths)
    assert not paths.volumes.exists()


def _outside(info: tarfile.TarInfo) -> None:
    info.name = "volumes/../../stolen"


def _absolute(info: tarfile.TarInfo) -> None:
    info.name = "/tmp/stolen"


def _hard_link(info: tarfile.TarInfo) -> None:
    info.name, info.type, info.linkname, info.size = "volumes/x", tarfile.LNKTYPE, "/etc/shadow", 0


def _device(info: tarfile.TarInfo) -> None:
    info.name, info.type, info.size = "volumes/x", tarfile.CHRTYPE, 0


@pytest.mark.parametrize("tampered", [_outside, _absolute, _hard_link, _device])
def test_a_backup_that_somebody_tampered_with_is_not_used(
    tmp_path: Path, tampered: Callable[[tarfile.TarInfo], None]
) -> None:
    file = tmp_path / "backup.tar.gz"
    info = tarfile.TarInfo()
    info.size = 3
    tampered(info)
    with tarfile.open(file, "w:gz") as tar:
        tar.addfile(info, io.BytesIO(b"bad") if info.size else None)
    paths = ClusterPaths(tmp_path / "now")
    paths.root.mkdir()
    with pytest.raises(Failure, match=r"which no backup of Panal's has"):
        backup.unpack(backup.Backup(file, ONE_NODE, "/old", "v"), paths)
    assert list(paths.root.iterdir()) == []


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """A link to a folder outside, and then a file below it."""
    file = tmp_path / "backup.tar.gz"
    (tmp_path / "outside").mkdir()
    with tarfile.open(file, "w:gz") as tar:
        link = tarfile.TarInfo("volumes/a")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tar.addfile(link)
        inside = tarfile.TarInfo("volumes/a/b")
        inside.size = 3
        tar.addfile(inside, io.BytesIO(b"bad"))
    paths = ClusterPaths(tmp_path / "now")
    paths.root.mkdir()
    with pytest.raises(Failure, match="can't be restored"):
        backup.unpack(backup.Backup(file, ONE_NODE, "/old", "v"), paths)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b\x08\x00broken"])
def test_a_file_that_is_no_backup_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "backup.tar.gz"
    file.write_bytes(content)
    with pytest.raises(Failure, match=r"backup\.tar\.gz"):
        backup.read(file)


class Machine:
    """One that has everything."""

    namespaces = overlay = netfilter = None
    low_ports = True


def test_a_restore_brings_its_own_configuration(tmp_path: Path) -> None:
    found = backup.Backup(tmp_path / "b", ONE_NODE, "/old", "v")
    resolved = backup.resolved(found, Wish(), "other", Machine())  # type: ignore[arg-type]
    assert (resolved.config.name, resolved.config.api_port, resolved.config.nodes) == ("other", 0, ONE_NODE.nodes)
    with pytest.raises(Failure, match="leave --config and --nodes out"):
        backup.resolved(found, Wish(nodes=2), "other", Machine())  # type: ignore[arg-type]
    with pytest.raises(Failure, match="its addresses are of that"):
        backup.resolved(found, Wish(network="loopback"), "other", Machine())  # type: ignore[arg-type]
