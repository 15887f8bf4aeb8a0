"""Help that teaches: every command shows examples, and each of them is a line that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from panal.command.cli import cli

WITHOUT = {"panal completion", "panal image ls", "panal image rm", "panal token list", "panal token delete"}
"""Their usage line says it all."""
EXAMPLE = re.compile(r"^ {4,}panal (.*?)(?: {2,}.*)?$", re.M)


def commands(group: click.Group, path: str = "panal") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


ALL = dict(commands(cli))


@pytest.mark.parametrize("path", sorted(ALL))
def test_every_command_shows_how_it_is_used(path: str) -> None:
    command = ALL[path]
    assert command.help
    if path not in WITHOUT and path != "panal node join":  # whose line `panal token create` prints
        assert path in command.help, "no example"


@pytest.mark.parametrize(
    "line", sorted({line for command in (cli, *ALL.values()) for line in EXAMPLE.findall(command.help or "")})
)
def test_an_example_is_a_line_that_the_command_takes(line: str) -> None:
    words = shlex.split(re.split(r" [|>] ", line)[0])
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context("panal", words, parent=context).close()
