"""The `rewrite name` directive: another name is looked up than was asked for, and the answer is given for the first.

Pure. The reply's question stays as it was asked, and what is owned by the new name is shown as owned by the old one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import wire

KINDS = ("exact", "prefix", "suffix", "substring", "regex")


@dataclass(frozen=True)
class Rule:
    """One line. `go_on`: the rules behind it are tried on its outcome too."""

    change: Callable[[str], str | None]
    go_on: bool = False


def rule(kind: str, old: str, new: str, *, go_on: bool = False) -> Rule:
    """Names are compared in lower case and with the final dot, as CoreDNS does. Raises ValueError."""
    if kind == "regex":
        pattern = re.compile(old)
        return Rule(lambda name: _replaced(pattern, new, name), go_on)
    before, after = old.lower(), new.lower()
    if kind == "exact":
        whole, other = _absolute(before), _absolute(after)
        return Rule(lambda name: other if name == whole else None, go_on)
    if kind == "suffix":
        end, other = _absolute(before), _absolute(after)
        return Rule(lambda name: name[: -len(end)] + other if name.endswith(end) else None, go_on)
    if kind == "prefix":
        return Rule(lambda name: after + name[len(before) :] if name.startswith(before) else None, go_on)
    if kind == "substring":
        return Rule(lambda name: name.replace(before, after) if before in name else None, go_on)
    raise ValueError(f"unknown kind of rewrite '{kind}'")


def rewritten(name: bytes, rules: Iterable[Rule]) -> bytes:
    """The name to look up: `name` itself where no rule matches or its outcome is no name."""
    text = wire.text(name).removesuffix(".") + "."
    for one in rules:
        changed = one.change(text)
        if changed is None:
            continue
        try:
            name = wire.name(changed)
        except ValueError:
            return name
        text = changed
        if not one.go_on:
            break
    return name


def _absolute(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _replaced(pattern: re.Pattern[str], new: str, name: str) -> str | None:
    """`{1}` in the new name is the first group."""
    found = pattern.search(name)
    if found is None:
        return None
    groups = (found[0], *(group or "" for group in found.groups()))
    return re.sub(r"\{(\d+)\}", lambda at: groups[int(at[1])] if int(at[1]) < len(groups) else "", new).lower()
