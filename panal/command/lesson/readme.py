"""A lesson's README as a walk: its title, its texts and its steps, a step being a command and what it printed.

Pure. Steps stand in blocks indented by four spaces or fenced as `console`; in them a line that begins with `$ ` is
a command (a `\\` at its end continues it), and the lines below are its output. Comments tell what may vary:
`<!-- any: nodoa nodob -->` says that these words stand for one another, `<!-- swapped: nodoa nodob -->` that they may
have changed places, all over the lesson alike; `<!-- needs: netns netfilter -->` says of which network and proxy mode a
cluster must be. Nothing but the commands of these blocks is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PROMPT = "$ "
SKIP = "..."
"""A line of an output that stands for any number of lines."""
_COMMENT = re.compile(r"<!--(.*?)-->\n?", re.S)
_VARYING = re.compile(r"\s*(any|swapped|needs):\s*(.*?)\s*", re.S)
_REMARK = re.compile(r"\s{2,}#\s.*$")
_INDEX = re.compile(r"\s*(?:\d+\.|[-*]) \[([a-z0-9-]+)\]\(\1/README(?:\.es)?\.md\): (.*)")
INDENT = "    "


@dataclass(frozen=True)
class Step:
    """One command and the lines it printed; none: only that it succeeds is asked."""

    command: str
    expected: tuple[str, ...] = ()

    @property
    def remark(self) -> str:
        """What the README says behind the command, such as `# a minute later`."""
        found = _REMARK.search(self.command)
        return found.group().strip() if found else ""

    @property
    def plain(self) -> str:
        """The command without its remark."""
        return _REMARK.sub("", self.command)


@dataclass(frozen=True)
class Lesson:
    """`parts`: texts and steps in their order."""

    title: str
    parts: tuple[str | Step, ...]
    any_of: frozenset[str] = frozenset()
    swapped: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    """`netns`, `netfilter`: the network and the proxy mode without which the lesson shows nothing."""

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(part for part in self.parts if isinstance(part, Step))


def parse(text: str) -> Lesson:
    """The lesson that a README tells. Raises ValueError for one without a title."""
    varying: dict[str, list[str]] = {"any": [], "swapped": [], "needs": []}
    for comment in _COMMENT.finditer(text):
        if said := _VARYING.fullmatch(comment.group(1)):
            varying[said.group(1)] += said.group(2).split()
    lines = _COMMENT.sub("", text).splitlines()
    if not lines or not lines[0].startswith("# "):
        raise ValueError("the first line of a lesson is its title, `# ...`")
    parts = tuple(_parts(lines[1:]))
    any_of, needs = frozenset(varying["any"]), frozenset(varying["needs"])
    return Lesson(lines[0][2:].strip(), parts, any_of, tuple(varying["swapped"]), needs)


def index(text: str) -> dict[str, str]:
    """name -> question, in the order of the course: the lines `1. [name](name/README.md): question`."""
    return {found.group(1): found.group(2) for line in text.splitlines() if (found := _INDEX.fullmatch(line))}


def _parts(lines: Sequence[str]) -> Iterator[str | Step]:
    """Texts, and the steps of the blocks between them."""
    text: list[str] = []
    at = 0
    while at < len(lines):
        block, end = _block(lines, at)
        if block:
            if told := "\n".join(text).strip("\n"):
                yield told
            text = []
            yield from _steps(block)
        else:
            text += lines[at:end]
        at = end
    if told := "\n".join(text).strip("\n"):
        yield told


def _block(lines: Sequence[str], at: int) -> tuple[list[str], int]:
    """The lines of the block of steps that begins at `at`, none if there is no such; and where it or the line ends."""
    line = lines[at]
    if line.startswith("```"):
        end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("```")), len(lines))
        return (list(lines[at + 1 : end]) if line.rstrip() == "```console" else []), end + 1
    if line.startswith(INDENT + PROMPT) and (at == 0 or not lines[at - 1].strip()):
        end = at
        while end < len(lines) and (lines[end].startswith(INDENT) or _gap(lines, end)):
            end += 1
        return [line.removeprefix(INDENT) for line in lines[at:end]], end
    return [], at + 1


def _gap(lines: Sequence[str], at: int) -> bool:
    """Whether an empty line is one within an indented block."""
    return not lines[at].strip() and at + 1 < len(lines) and lines[at + 1].startswith(INDENT)


def _steps(block: Sequence[str]) -> Iterator[Step]:
    command: list[str] = []
    output: list[str] = []
    for line in block:
        if command and not output and command[-1].endswith("\\"):
            command.append(line)
        elif line.startswith(PROMPT):
            if command:
                yield _step(command, output)
            command, output = [line.removeprefix(PROMPT)], []
        else:
            output.append(line)
    if command:
        yield _step(command, output)


def _step(command: Sequence[str], output: Sequence[str]) -> Step:
    lines = [line.rstrip() for line in output]
    while lines and not lines[-1]:
        lines.pop()
    return Step("\n".join(command), tuple(lines))
