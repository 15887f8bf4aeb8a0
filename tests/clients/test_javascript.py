"""The JavaScript client's informer, which lives through a server that is killed; needs node and npm's registry."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ..controlplane.apiserver.http.conftest import ApiServer
from .programs import everything, lacking

CLIENT = "@kubernetes/client-node@1.4.0"
pytestmark = everything


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program beside the client's modules."""
    found = tmp_path_factory.mktemp("javascript")
    if not shutil.which("node") or not shutil.which("npm"):
        lacking("needs node and npm")
    npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(found), CLIENT]
    done = subprocess.run(npm, cwd=found, capture_output=True, text=True, timeout=110)
    if done.returncode:
        lacking(f"npm cannot install {CLIENT}: {done.stderr[-300:]}")
    shutil.copy(Path(__file__).with_name("informer.mjs"), found)
    return found


class Program:
    """The running program: commands in, lines out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def expect(self, *lines: str) -> None:
        """These lines, in whatever order."""
        assert self.process.stdout is not None
        assert sorted(self.process.stdout.readline().strip() for _ in lines) == sorted(lines)


def test_an_informer_follows_a_namespace_through_a_kill_of_the_server(own_server: ApiServer, folder: Path) -> None:
    kubeconfig = own_server.user("admin", "system:masters")
    process = subprocess.Popen(
        ["node", "informer.mjs", str(kubeconfig), "default"], cwd=folder, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "NODE_NO_WARNINGS": "1"},
    )  # fmt: skip
    with process:
        program = Program(process)
        try:
            program.expect("started")
            program.tell("create one")
            program.expect('add one {"a":"b"}', "done create")
            program.tell("patch one")
            program.expect('update one {"a":"c"}', "done patch")
            program.tell("apply one")
            program.expect('update one {"a":"d"}', "done apply")
            program.tell("refuse nothing")
            program.expect("refused 404 NotFound", "done refuse")
            own_server.stop(signal.SIGKILL)
            program.expect("error")
            own_server.start()
            program.tell("create two")
            program.expect('add two {"a":"b"}', "done create")
            program.tell("delete one")
            program.expect('delete one {"a":"d"}', "done delete")
            program.tell("stop")
            assert process.wait(20) == 0
        finally:
            process.kill()
