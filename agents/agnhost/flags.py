"""Flags as Go's programs read them: `--name value`, `--name=value`, one dash as good as two, underscores as dashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_LOGGING = {
    "add-dir-header": "false",
    "alsologtostderr": "false",
    "log-backtrace-at": ":0",
    "log-dir": "",
    "log-file": "",
    "log-file-max-size": "1800",
    "logtostderr": "true",
    "one-output": "false",
    "skip-headers": "false",
    "skip-log-headers": "false",
    "stderrthreshold": "2",
    "v": "0",
    "vmodule": "",
}
"""Flags that every command takes, as Kubernetes' programs do, and that change nothing here."""


class Usage(Exception):
    """The arguments make no sense; the message is shown with exit code 1."""


def parse(
    argv: Sequence[str], known: Mapping[str, str], short: Mapping[str, str] = {}
) -> tuple[dict[str, str], list[str]]:
    """The values, defaults included, and the other arguments. A flag whose default is true or false may stand alone.

    Raises Usage.
    """
    rest: list[str] = []
    values, words = dict(known), list(argv)
    defaults = {**_LOGGING, **known}
    while words:
        word = words.pop(0)
        if word == "--":
            return values, [*rest, *words]
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = short.get(name, name.replace("_", "-"))
        if name not in defaults:
            raise Usage(f"Error: unknown flag: {word}")
        if not equals and defaults[name] in ("true", "false"):
            value = "true"
        elif not equals:
            if not words:
                raise Usage(f"Error: flag needs an argument: {word}")
            value = words.pop(0)
        if name in known:
            values[name] = value
    return values, rest


def number(values: Mapping[str, str], name: str) -> int:
    """Raises Usage."""
    try:
        return int(values[name])
    except ValueError:
        raise Usage(f'Error: invalid argument "{values[name]}" for "--{name}" flag') from None
