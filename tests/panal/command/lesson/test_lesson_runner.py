"""The bash of a lesson: what stays, what ends."""

from __future__ import annotations

import os
import time
from pathlib import Path

from panal.command.lesson.runner import Ran, Shell, settle


def test_a_variable_of_one_step_is_there_in_the_next(tmp_path: Path) -> None:
    with Shell(tmp_path, os.environ) as shell:
        assert shell.run("POD=$(echo 'web 1')", 10) == Ran("", 0)
        assert shell.run('echo "$POD" | tr a-z A-Z; pwd', 10) == Ran(f"WEB 1\n{tmp_path}\n", 0)


def test_both_outputs_and_the_exit_code_are_told(tmp_path: Path) -> None:
    with Shell(tmp_path, os.environ) as shell:
        assert shell.run("echo out; echo err >&2; (exit 3)", 10) == Ran("out\nerr\n", 3)
        assert shell.run("printf 'no newline'", 10) == Ran("no newline", 0)
        assert shell.run("cat", 10) == Ran("", 0)  # nobody types into it


def test_a_command_that_hangs_is_ended_and_the_bash_goes_on(tmp_path: Path) -> None:
    with Shell(tmp_path, os.environ) as shell:
        shell.run("KEPT=1; sleep 300 & echo", 10)
        began = time.monotonic()
        assert shell.run("echo before; sleep 299", 0.3).output.startswith("before\n")
        assert time.monotonic() - began < 10
        assert shell.run('echo "$KEPT $(jobs -r | wc -l)"', 10) == Ran("1 1\n", 0)  # what ran before is untouched


def test_only_a_reading_command_is_repeated_until_it_is_well(tmp_path: Path) -> None:
    (tmp_path / "curl").write_text("#!/bin/sh\necho x >> tries; wc -l < tries\n")
    (tmp_path / "curl").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with Shell(tmp_path, environ) as shell:
        assert settle(shell, "curl x", lambda ran: ran.output == "3\n", 20).output == "3\n"
        assert settle(shell, "env curl x", lambda ran: False, 20).output == "4\n"
