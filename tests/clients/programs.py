"""The programs of users that tests here run: where they are, and what it means when one is not there.

scripts/clients.sh brings them. In CI what a test needs has to be there; elsewhere the test is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from panal import tools

ROOT = Path(__file__).resolve().parents[2]

everything = pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="takes long; PANAL_TEST_ALL=1 runs it")


def lacking(why: str) -> NoReturn:
    """In CI what a test needs has to be there."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def program(name: str, *, bring: str = "") -> str:
    """The program's path; without it there is no test."""
    found = tools.which(name, os.environ, path=os.environ.get("PATH", ""))
    return found or lacking(f"needs {name}: scripts/clients.sh {bring or name}")


def newest_kubectl() -> str:
    """The newest kubectl that is here: the one that scripts/clients.sh brought, else that of the path."""
    brought = tools.which("kubectl.sid", os.environ)
    found = brought or shutil.which("kubectl")
    assert found, "these tests need kubectl"
    return os.path.realpath(found) if brought else found


def built(folder: str) -> Path:
    """The Go program of a folder here, compiled with client-go's packages; the first time takes minutes."""
    go = program("go", bring="client-go")
    kept = tools.folder(os.environ)
    path = kept / "go" / "usr" / "share" / "gocode" if kept else None
    if kept is None or path is None or not path.is_dir():
        lacking("needs client-go: scripts/clients.sh client-go")
    target = kept / "bin" / f"panal-test-{folder}"
    environment = {
        **os.environ, "GO111MODULE": "off", "GOPATH": str(path), "GOCACHE": str(kept / "go" / "cache"),
        "GOPROXY": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOTELEMETRY": "off", "CGO_ENABLED": "0",
    }  # fmt: skip
    done = subprocess.run(
        [go, "build", "-trimpath", "-p", "2", "-o", str(target), f"./tests/clients/{folder}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def version(program: str) -> tuple[int, int]:
    """(1, 36) of a kubectl."""
    told = subprocess.run([program, "version", "--client"], capture_output=True, text=True, timeout=30).stdout
    found = re.search(r"v(\d+)\.(\d+)", told)
    assert found, told
    return int(found[1]), int(found[2])
