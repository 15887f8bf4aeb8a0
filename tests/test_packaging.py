"""What is installed is whole: a wheel holds every module and every data file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"panal": "panal", "agents": "panal/agents", "controlplane": "panal/controlplane", "proxy": "panal/proxy"}


def test_a_wheel_holds_every_module_and_data_file_and_no_other_package(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    tracked = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", *PARTS, "pyproject.toml", "setup.py", "README.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, tracked):
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(tree)]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    (wheel,) = tmp_path.glob("panal-*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        PARTS[part] + "/" + rest
        for name in filter(None, tracked)
        if (part := name.partition("/")[0]) in PARTS and (rest := name.partition("/")[2])
    }
    assert wanted <= inside
    assert {name.partition("/")[0] for name in inside} == {"panal"}
