"""Where optimized code is kept, and when a cluster does without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from panal import bytecode


def test_code_without_docstrings_is_kept_beside_the_package_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "__pycache__" / "optimized"
    options = bytecode.options({}, folder)
    told = "import panal.quantity, sys; print(panal.quantity.__doc__, sys.flags.optimize)"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *options, "-P", "-c", told]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert shown.stdout == "None 2\n"
    compiled = {path.name for path in folder.rglob("*.pyc")}
    assert f"quantity.{sys.implementation.cache_tag}.opt-2.pyc" in compiled


def test_nothing_is_compiled_at_each_start_where_it_cannot_be_kept(tmp_path: Path) -> None:
    folder = tmp_path / "optimized"
    assert bytecode.options({"PYTHONDONTWRITEBYTECODE": "1"}, folder) == []
    folder.mkdir()
    assert bytecode.options({"PYTHONDONTWRITEBYTECODE": "1"}, folder) != []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_another_users_installation_is_left_as_it_is() -> None:
    assert bytecode.options({}, Path("/usr/lib/panal/__pycache__/optimized")) == []
