"""mounttest: what it makes in a volume and tells of it, in the words that Kubernetes' suite looks for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from panal.agents.agnhost import mounttest


@pytest.fixture(autouse=True)
def _umask() -> object:
    kept = os.umask(0o022)
    yield
    os.umask(kept)


def test_a_file_is_made_before_it_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "new"
    assert mounttest.main([f"--file_perm={place}", f"--file_owner={place}", f"--new_file_0660={place}"]) == 0
    assert capsys.readouterr().out == (
        f'content of file "{place}": mount-tester new file\n\n'
        f'perms of file "{place}": -rw-rw----\n'
        f'owner UID of "{place}": {os.getuid()}\nowner GID of "{place}": {os.getgid()}\n'
    )


def test_the_kind_of_a_file_system_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert mounttest.main(["--fs_type=/dev/shm"]) == 0
    assert capsys.readouterr().out == 'mount type of "/dev/shm": tmpfs\n'


def test_one_failed_step_is_told_and_the_others_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mounttest.main([f"--file_mode={tmp_path}/none", f"--file_content={tmp_path}/none"]) == 1
    assert capsys.readouterr().out.count("no such file or directory") == 2


def test_a_content_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "late"
    assert mounttest.main([f"--file_content_in_loop={place}", "--retry_time=1"]) == 1
    assert capsys.readouterr().out.startswith(f"Error reading file {place}: open {place}: no such file or directory")
    place.write_text("mount-tester new file\n")
    assert mounttest.main([f"--file_content_in_loop={place}"]) == 0


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (stat.S_IFREG | 0o644, "-rw-r--r--"),
        (stat.S_IFDIR | stat.S_ISVTX | 0o777, "dtrwxrwxrwx"),
        (stat.S_IFDIR | stat.S_ISGID | 0o770, "dgrwxrwx---"),
        (stat.S_IFCHR | 0o600, "Dcrw-------"),
    ],
)
def test_modes_are_told_in_gos_letters(mode: int, told: str) -> None:
    assert mounttest.mode_string(mode) == told
