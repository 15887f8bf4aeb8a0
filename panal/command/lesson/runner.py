"""One bash for a whole lesson, so that `POD=$(...)` of one step is there in the next.

It runs the README's own commands and nothing else, in the folder that holds examples/, with the chosen cluster's
kubeconfig. A command that hangs is ended with what it started; the bash and all that it left end with the lesson.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

LIMIT = 1 << 20
"""Bytes of one command's output at most."""
PAUSE_SECONDS = 0.4
_LOOKING = r"(?:cat|curl|dig|getent|head|hostname|ip|ls|nslookup|ps|sysctl|wget)\b"
_READING = re.compile(
    r"(?:\w+=\$\()?"
    r"(?:kubectl (?:-n \S+ )?(?:get|describe|logs|wait|top|events|api-resources|rollout (?:status|history))\b"
    rf"|kubectl (?:-n \S+ )?exec .* -- {_LOOKING}"
    r"|panal (?:rules|capacity|schedule|trace|status|logs|fidelity)\b"
    rf"|panal shell .* -- {_LOOKING}"
    r"|(?:curl|dig)\b)"
)


@dataclass(frozen=True)
class Ran:
    """What a command printed on both its outputs, and its exit code (None: it was ended)."""

    output: str
    code: int | None


def only_reads(command: str) -> bool:
    """Whether to run the command again changes nothing."""
    return _READING.match(command) is not None


class Shell:
    """A bash that runs one command after the other. Use as a context manager."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environ),
            bufsize=0,
            start_new_session=True,
        )
        self._kept: set[int] = set()

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._bash.pid, number)
                self._bash.wait(2)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._bash.wait()
        for pipe in (self._bash.stdin, self._bash.stdout):
            if pipe is not None:
                pipe.close()

    def run(self, command: str, seconds: float) -> Ran:
        """Run it, `seconds` at most."""
        assert self._bash.stdin is not None
        mark = f"\x1e{secrets.token_hex(8)}"
        self._kept = _children(self._bash.pid)
        try:
            self._bash.stdin.write(
                f"{{ {command}\n}} </dev/null\n"
                f"__panal_code=$?; printf '\\n%s %s\\n' '{mark}' \"$__panal_code\"\n".encode()
            )
        except BrokenPipeError:
            return Ran("", None)
        return self._read(mark.encode(), time.monotonic() + seconds)

    def _read(self, mark: bytes, deadline: float) -> Ran:
        """The output up to the mark; what still runs at the deadline is ended."""
        assert self._bash.stdout is not None
        said, ended = b"", 0
        with selectors.DefaultSelector() as selector:
            selector.register(self._bash.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(max(0.0, deadline - time.monotonic())):
                    more = os.read(self._bash.stdout.fileno(), 65536)
                    said += more
                    if found := re.search(re.escape(mark) + rb" (\d+)\n", said):
                        text = said[: found.start()].removesuffix(b"\n").decode(errors="replace")
                        return Ran(text, None if ended else int(found.group(1)))
                    if more and len(said) < LIMIT:
                        continue
                if ended == 2 or not self._end(signal.SIGKILL if ended else signal.SIGTERM):
                    return Ran(said.decode(errors="replace"), None)
                ended += 1
                deadline = time.monotonic() + 2

    def _end(self, number: int) -> bool:
        """End what the command started; whether there is anything to end."""
        found = _children(self._bash.pid) - self._kept
        for pid in found:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        return bool(found)


def _children(pid: int) -> set[int]:
    """The process' children, theirs, and so on."""
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        for file in Path(f"/proc/{ahead.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                ahead += (born := set(map(int, file.read_text().split())) - found)
                found |= born
    return found


def settle(shell: Shell, command: str, well: Callable[[Ran], object], seconds: float) -> Ran:
    """Run the command; one that only reads again and again until it is `well`, `seconds` at most. What it said last."""
    deadline = time.monotonic() + seconds
    while True:
        ran = shell.run(command, max(2.0, deadline - time.monotonic()))
        if well(ran) or not only_reads(command) or time.monotonic() + PAUSE_SECONDS > deadline:
            return ran
        time.sleep(PAUSE_SECONDS)
