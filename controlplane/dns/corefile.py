"""CoreDNS' configuration file as blocks and directives: what is written there, not yet what it means.

Pure. The grammar is the Caddyfile's: words between spaces, quotes around words with spaces, `#` to the end of the
line, a block in braces, `{$NAME}` or `{%NAME%}` for the environment. Where it goes next: settings.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LIMIT = 1 << 20
"""Characters; a ConfigMap has room for no more."""
_WORD = re.compile(r'"((?:\\.|[^"\\])*)"|(#[^\n]*)|(\n)|([^\s"]\S*)', re.S)
_ENVIRONMENT = re.compile(r"\{\$(\w+)\}|\{%(\w+)%\}")


class CorefileError(ValueError):
    """The file can't be read; the message says where, in CoreDNS' words."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One line, with the lines of its block."""

    name: str
    words: tuple[str, ...]
    body: tuple[Directive, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """What holds for some zones: `zones` as they are written, with scheme and port."""

    zones: tuple[str, ...]
    directives: tuple[Directive, ...]
    line: int


@dataclass(frozen=True, slots=True)
class _Line:
    words: tuple[str, ...]
    number: int


def parse(text: str, environ: Mapping[str, str]) -> list[Block]:
    """The blocks in their order. Raises CorefileError."""
    if len(text) > LIMIT:
        raise CorefileError("Corefile: too long")
    substituted = _ENVIRONMENT.sub(lambda found: environ.get(found[1] or found[2], ""), text)
    lines = list(_lines(substituted))
    blocks, at = [], 0
    while at < len(lines):
        block, at = _block(lines, at)
        blocks.append(block)
    if not blocks:
        raise CorefileError("Corefile: no server block")
    return blocks


def _lines(text: str) -> Iterator[_Line]:
    """Lines of words; a brace that opens or closes ends its line, wherever it stands."""
    number, words = 1, list[str]()
    for found in _WORD.finditer(text):
        quoted, comment, newline, word = found.groups()
        if comment is not None:
            continue
        if newline is not None:
            if words:
                yield _Line(tuple(words), number)
                words = []
            number += 1
            continue
        words.append(word if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        if word in ("{", "}"):
            if word == "}" and len(words) > 1:
                yield _Line(tuple(words[:-1]), number)
                words = ["}"]
            yield _Line(tuple(words), number)
            words = []
        number += (quoted or "").count("\n")
    if words:
        yield _Line(tuple(words), number)


def _block(lines: list[_Line], at: int) -> tuple[Block, int]:
    """Zones may go on over lines, with a comma at the end of each but the last."""
    first, zones = lines[at].number, list[str]()
    while at < len(lines):
        line = lines[at]
        at += 1
        opens = line.words[-1] == "{"
        zones += line.words[:-1] if opens else line.words
        if opens:
            names = tuple(part for zone in zones for part in zone.split(",") if part)
            if not names or "}" in names:
                raise _unexpected("{", line)
            directives, at = _directives(lines, at)
            return Block(names, directives, first), at
        if not zones[-1].endswith(","):
            break
    raise CorefileError(f"Corefile:{first} - Error during parsing: Unexpected token '{zones[-1]}', expecting '{{'")


def _directives(lines: list[_Line], at: int) -> tuple[tuple[Directive, ...], int]:
    """Up to the brace that closes the block."""
    found: list[Directive] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.words == ("}",):
            return tuple(found), at
        body: tuple[Directive, ...] = ()
        words = line.words
        if words[-1] == "{":
            words = words[:-1]
            if not words:
                raise _unexpected("{", line)
            body, at = _directives(lines, at)
        found.append(Directive(words[0], words[1:], body, line.number))
    raise CorefileError(f"Corefile:{lines[-1].number} - Error during parsing: Unexpected EOF, expecting '}}'")


def _unexpected(word: str, line: _Line) -> CorefileError:
    return CorefileError(f"Corefile:{line.number} - Error during parsing: Unexpected token '{word}'")
