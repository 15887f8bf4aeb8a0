"""Finding and ending a cluster's processes; removing its files and its context."""

from __future__ import annotations

import os
import subprocess
import sys

import orjson
import pytest
import yaml

from panal import cleanup, kubeconfig
from panal.kubeconfig import document
from panal.paths import ClusterPaths

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]

KILL = (
    "import sys; from pathlib import Path; from panal.cleanup import kill_processes; kill_processes(Path(sys.argv[1]))"
)


@pytest.fixture
def started():
    processes = []

    def start(*args, **kwargs):
        processes.append(subprocess.Popen(*args, stdin=subprocess.DEVNULL, start_new_session=True, **kwargs))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_processes_are_found_by_environment_folder_stream_and_descent(tmp_path, started):
    folder = tmp_path / "clusters" / "panal"
    folder.mkdir(parents=True)
    marked = started(SLEEP, env={**os.environ, cleanup.MARK: str(folder)})
    inside = started(SLEEP, cwd=folder)
    with open(folder / "log", "w") as log:
        logging = started(["sh", "-c", "env -i sh -c 'cd /; sleep 60' > /dev/null 2>&1 & wait"], stdout=log)
    other = started(SLEEP, env={**os.environ, cleanup.MARK: str(folder) + "-two"}, cwd=tmp_path)
    while True:
        found = cleanup.processes(folder)
        if len(found) >= 4:
            break
    assert {marked.pid, inside.pid, logging.pid} < found
    assert other.pid not in found
    reaper = subprocess.Popen([sys.executable, "-c", KILL, folder], start_new_session=True)
    for process in (marked, inside, logging):
        assert process.wait(10) == -9
    assert reaper.wait(10) == 0
    assert cleanup.processes(folder) == set()
    assert other.poll() is None


def test_a_folder_goes_with_all_that_is_in_it_and_no_link_is_followed(tmp_path):
    paths = ClusterPaths(tmp_path / "home" / "clusters" / "panal")
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "file").write_text("kept")
    closed = paths.root / "overlay" / "work"
    (closed / "work").mkdir(parents=True)
    (closed / "work" / "file").touch()
    (paths.root / "link").symlink_to(outside)
    closed.joinpath("work").chmod(0)
    closed.chmod(0)
    cleanup.remove_files(paths)
    cleanup.remove_files(paths)
    assert not (tmp_path / "home").exists()
    assert (outside / "file").read_text() == "kept"


def test_another_clusters_folder_keeps_the_home(tmp_path):
    paths = ClusterPaths(tmp_path / "home" / "clusters" / "one")
    paths.root.mkdir(parents=True)
    (tmp_path / "home" / "clusters" / "two").mkdir()
    cleanup.remove_files(paths)
    assert (tmp_path / "home" / "clusters" / "two").is_dir()


def a_context(name: str, ca: bytes = b"ca"):
    return document(name, server="https://127.0.0.1:1", ca=ca, certificate=b"c", key=b"k", user=f"{name}-admin")


def merged(paths: ClusterPaths, target, previous: str) -> None:
    """As `panal up` leaves it."""
    paths.root.mkdir(parents=True)
    paths.kubeconfig.write_bytes(orjson.dumps(a_context("panal")))
    record = {"path": str(target), "previous": previous}
    cleanup.record_of_context(paths).write_bytes(orjson.dumps(record))
    kubeconfig.merge(target, a_context("panal"))


def test_the_context_goes_and_the_one_before_is_current_again(tmp_path):
    target, paths = tmp_path / "config", ClusterPaths(tmp_path / "c" / "clusters" / "panal")
    kubeconfig.merge(target, a_context("work"))
    before = yaml.safe_load(target.read_text())
    merged(paths, target, "work")
    assert yaml.safe_load(target.read_text())["current-context"] == "panal"
    cleanup.remove_files(paths)
    assert yaml.safe_load(target.read_text()) == before


def test_a_kubeconfig_that_up_made_goes_when_nothing_else_is_in_it(tmp_path):
    for other in (False, True):
        target, paths = tmp_path / "config", ClusterPaths(tmp_path / "c" / "clusters" / "panal")
        merged(paths, target, "")
        record = orjson.loads(cleanup.record_of_context(paths).read_bytes())
        cleanup.record_of_context(paths).write_bytes(orjson.dumps({**record, "created": True}))
        if other:
            kubeconfig.merge(target, a_context("work"))
        cleanup.remove_files(paths)
        assert target.exists() is other


def test_a_context_that_is_anothers_by_now_stays(tmp_path):
    target, paths = tmp_path / "config", ClusterPaths(tmp_path / "c" / "clusters" / "panal")
    merged(paths, target, "")
    kubeconfig.merge(target, a_context("panal", ca=b"another"))
    before = target.read_text()
    cleanup.remove_files(paths)
    assert target.read_text() == before


def test_a_spoilt_kubeconfig_does_not_keep_the_folder(tmp_path):
    target, paths = tmp_path / "config", ClusterPaths(tmp_path / "c" / "clusters" / "panal")
    merged(paths, target, "")
    target.write_text("{{{")
    cleanup.remove_files(paths)
    assert not paths.root.exists()
    assert target.read_text() == "{{{"
