"""Unix sockets at any depth, private from the start."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from panal import unixsock


def test_a_path_longer_than_an_address(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    server = unixsock.listen(folder / "s.sock")
    assert stat.S_IMODE(os.stat(folder / "s.sock").st_mode) == 0o600
    client = unixsock.connect(folder / "s.sock")
    accepted, _ = server.accept()
    client.send(b"hola")
    assert accepted.recv(10) == b"hola"
    for one in (server, client, accepted):
        one.close()


def test_a_socket_left_behind_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    unixsock.listen(tmp_path / "s.sock").close()
    with pytest.raises(ConnectionRefusedError):
        unixsock.connect(tmp_path / "s.sock")
    unixsock.listen(tmp_path / "s.sock").close()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match="in use"):
        unixsock.listen(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
