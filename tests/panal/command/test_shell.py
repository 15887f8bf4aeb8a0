"""Running a program with the real terminal: its exit code, and job control."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

import pytest

RUN = "import os, sys; from panal.command.shell import _run; sys.exit(_run(sys.argv[1:], os.environ))"


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_code_is_passed_on(script, code):
    assert subprocess.run([sys.executable, "-c", RUN, "sh", "-c", script], timeout=20).returncode == code


def test_a_missing_program_is_127_and_one_that_may_not_run_126(tmp_path):
    (tmp_path / "file").write_text("")
    missing = subprocess.run([sys.executable, "-c", RUN, "no-such-program"], capture_output=True, text=True, timeout=20)
    assert (missing.returncode, missing.stderr) == (127, "panal: no-such-program: No such file or directory\n")
    assert (
        subprocess.run([sys.executable, "-c", RUN, tmp_path / "file"], capture_output=True, timeout=20).returncode
        == 126
    )


def test_input_and_output_are_the_commands_own():
    done = subprocess.run([sys.executable, "-c", RUN, "cat"], input="hello", capture_output=True, text=True, timeout=20)
    assert done.stdout == "hello"


def test_on_a_terminal_a_stopped_program_stops_the_command_and_goes_on_with_it():
    """bash runs the command as a job: Control-Z stops it, `fg` continues it, and its exit code arrives."""
    with Terminal(["bash", "--norc", "--noprofile", "-i"]) as terminal:
        terminal.type(f"{sys.executable} -c '{RUN}' sh -c 'echo begun; read line; exit $line'\n")
        terminal.expect("begun\r")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.expect("fg")
        time.sleep(0.2)
        terminal.type("5\n")
        time.sleep(0.3)
        terminal.type("echo code=$?.\n")
        terminal.expect("code=5.")


class Terminal:
    """A pseudo-terminal with a program on it."""

    def __init__(self, command):
        self._command = command
        self._seen = ""

    def __enter__(self):
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.environ["PS1"] = "$ "
            os.execvp(self._command[0], self._command)
        return self

    def __exit__(self, *_):
        os.close(self._master)
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)

    def type(self, text):
        os.write(self._master, text.encode())

    def expect(self, text):
        deadline = time.monotonic() + 15
        while text not in self._seen:
            assert time.monotonic() < deadline, self._seen
            if select.select([self._master], [], [], 0.2)[0]:
                self._seen += os.read(self._master, 4096).decode(errors="replace")
        self._seen = self._seen.split(text, 1)[1]
