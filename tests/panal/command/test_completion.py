"""What a shell is offered, asked as the shell's own script asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from panal.clusterfile import resolve
from panal.config import dump
from panal.paths import ClusterPaths


def panal(*words: str, home: Path, **more: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PANAL_HOME": str(home), **more}
    command = [sys.executable, "-m", "panal.command", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True).stdout


def offered(line: str, home: Path) -> list[str]:
    words = line.split(" ")
    answer = panal(home=home, _PANAL_COMPLETE="bash_complete", COMP_WORDS=line.strip(), COMP_CWORD=str(len(words) - 1))
    return [each.partition(",")[2] for each in answer.splitlines() if each]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shells_script_asks_panal(shell: str, tmp_path: Path) -> None:
    assert "_PANAL_COMPLETE" in panal("completion", shell, home=tmp_path)


def test_commands_options_clusters_and_lessons_are_offered(tmp_path: Path) -> None:
    for name in ("course", "company"):
        paths = ClusterPaths.of(tmp_path, name)
        paths.root.mkdir(parents=True)
        paths.config.write_bytes(
            dump(resolve(None, "-", name=name, nodes=1, network="loopback", proxy_mode="userspace", runtime="plain"))
        )
    assert offered("panal ru", tmp_path) == ["rules"]
    assert "--nft" in offered("panal rules --n", tmp_path)
    assert offered("panal rules --name co", tmp_path) == ["company", "course"]
    assert "services" in offered("panal lesson ", tmp_path)


def test_without_a_cluster_nothing_is_offered_and_nothing_complained_of(tmp_path: Path) -> None:
    assert offered("panal rules ", tmp_path) == []
    assert offered("panal logs k", tmp_path) == []
