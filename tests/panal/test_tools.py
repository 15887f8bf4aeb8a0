"""Programs unpacked beside the system are found after the machine's own."""

from __future__ import annotations

from pathlib import Path

from panal import tools


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_an_unpacked_program_is_found_where_the_machine_has_none(tmp_path: Path) -> None:
    (tmp_path / "tools" / "root").mkdir(parents=True)
    mine, shell = program(tmp_path / "tools" / "bin" / "nosuch"), program(tmp_path / "tools" / "bin" / "sh")
    environ = {"PANAL_TOOLS": str(tmp_path / "tools")}
    assert tools.which("nosuch", environ) == str(mine)
    assert tools.which("sh", environ) not in (None, str(shell))
    first = program(tmp_path / "own" / "nosuch")
    assert tools.which("nosuch", environ, path=str(first.parent)) == str(first)


def test_without_unpacked_programs_the_machine_is_all(tmp_path: Path) -> None:
    assert tools.folder({"PANAL_TOOLS": str(tmp_path)}) is None
    assert tools.folder({"PANAL_TOOLS": "relative"}) is None
    assert tools.which("nosuch", {"PANAL_TOOLS": str(tmp_path)}) is None
