"""Whether a command printed what the README shows, with that which no two runs share treated as such.

Pure. Both sides are brought into one form in which ages, times, addresses of pods and Services, random ends of names,
ids and counters are gone; addresses of the company LAN, numbers and words stay. Rows of a table may have changed
places, for they are sorted by names that are random.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .readme import SKIP

_R = "[bcdfghjklmnpqrstvwxz2456789]"
"""The letters and digits of Kubernetes' random names."""
_HEADER = re.compile(r"[A-Z][A-Z0-9()/%-]*(?: [A-Z0-9()/%-]+)*(?:\s{2,}[A-Z][A-Z0-9()/%-]*(?: [A-Z0-9()/%-]+)*)+\s*")
_COLUMN = re.compile(r"\S+(?: \S+)*")
_VARYING_COLUMNS = {"AGE", "LAST SEEN", "FIRST SEEN", "DURATION", "USED"}
_PASSING = re.compile(r"Waiting for (?:deployment|\d+ pods|statefulset|daemon set|partitioned roll out)\b")
"""Lines of `kubectl rollout status` on the way, of which there are as many as it happens to see."""
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} [\d:]{8} [+-]\d{4}"), "<time>"),
    (re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} [\d:]{8} GMT"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b"), "<time>"),
    (re.compile(r"\b1[5-9]\d{8}(?:\.\d+)?\b(?: +\d+)?"), "<time>"),
    (re.compile(r"(?<![\d.])(?!192\.168\.|127\.0\.0\.1\b)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"), "<address>"),
    (re.compile(r"\b\d{1,3}(?:-\d{1,3}){3}\b"), "<address>"),
    (re.compile(r"\bsport=\d{5}\b"), "sport=<port>"),
    (re.compile(r"\bprocess +\d+"), "process <n>"),
    (re.compile(r"\bVisit \d+:"), "Visit <n>:"),
    (re.compile(r":(?:3[3-9]|[4-6]\d)\d{3}\b|:32(?:7[7-9]|[89]\d)\d\b"), ":<port>"),
    (re.compile(rf"-{_R}{{8,10}}-{_R}{{5}}\b"), "-<random>"),
    (re.compile(rf"(?<=[a-z0-9])-(?=\w*\d){_R}{{8,10}}\b"), "-<hash>"),
    (re.compile(rf"(?<=[a-z0-9])-{_R}{{5}}\b"), "-<random>"),
    (re.compile(r"\b\d+(?:\.\d+)? ?ms\b"), "<time>"),
    (re.compile(r"\b(?:\d+d)?(?:\d+h)?(?:\d+m)?\d+s\b|\b\d+d\d+h\b|\b\d+h\d+m\b"), "<age>"),
    (re.compile(r"\b(\d+)m ago\b|\bover \d+m\b"), "<age>"),
    (re.compile(r"\b\d+(?:\.\d+)? s\b"), "<age>"),
    (re.compile(r"(?<=<address>)[#:]53$"), "#53"),
    (re.compile(r"\(x\d+ over\b"), "(x<n> over"),
    (re.compile(r"\b\d+(?=%/)"), "<n>"),
    (re.compile(r"(?<=available: )\d+Ki|(?<=was using )\d+Ki"), "<n>Ki"),
    (re.compile(r"\bid: \d+"), "id: <n>"),
    (re.compile(r'(" (?:force )?deleted) from [a-z0-9-]+ namespace$'), r"\1"),  # kubectl 1.34 and newer
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Varying:
    """What a lesson says may vary. `choices`: how the swapped words may be distributed, as far as is known by now."""

    any_of: frozenset[str] = frozenset()
    choices: tuple[Mapping[str, str], ...] = ({},)

    @classmethod
    def of(cls, any_of: Iterable[str], swapped: Sequence[str]) -> Varying:
        return cls(
            frozenset(any_of),
            tuple(dict(zip(swapped, order, strict=True)) for order in itertools.permutations(swapped)),
        )


def compare(expected: Sequence[str], output: str, varying: Varying) -> Varying | None:
    """What may still vary after this output, or None when it is not as expected."""
    wanted, found = canonical(expected), canonical(output.splitlines())
    left = tuple(
        choice
        for choice in varying.choices
        if _matches(
            [_worded(line, choice, varying) for line in wanted],
            [_worded(line, {}, varying) for line in found],
            loose=any(word != instead for word, instead in choice.items()),
        )
    )
    return Varying(varying.any_of, left) if left else None


def unlike(expected: Sequence[str], output: str, varying: Varying) -> list[str]:
    """The README's lines that the output has nowhere, as the README has them."""
    found = {_worded(line, {}, varying) for line in canonical(output.splitlines())}
    choice = varying.choices[0]
    lines = [line for line in expected if not _PASSING.match(line)]
    while lines and not lines[-1].strip():
        lines.pop()
    return [
        line
        for line, form in zip(lines, canonical(lines), strict=True)
        if form != SKIP and form and _worded(form, choice, varying) not in found
    ]


def canonical(lines: Sequence[str]) -> list[str]:
    """The lines in the form in which they are compared."""
    return list(_canonical(lines))


def _canonical(lines: Sequence[str]) -> Iterator[str]:
    starts: list[tuple[int, str]] = []
    kept = [line.rstrip() for line in lines if not _PASSING.match(line)]
    while kept and not kept[-1]:
        kept.pop()
    for line in kept:
        if _HEADER.fullmatch(line):
            starts = [(found.start(), found.group().strip()) for found in _COLUMN.finditer(line)]
            yield "# " + " | ".join(name for _, name in starts)
        elif not line or line == SKIP:
            starts = starts if line else []
            yield line
        elif starts:
            yield " | ".join(_cells(line, starts))
        else:
            yield _form(line)


def _cells(line: str, starts: Sequence[tuple[int, str]]) -> Iterator[str]:
    """The cells below the columns' names; those that always vary as `*`."""
    ends = [start for start, _ in starts[1:]] + [len(line)]
    for (start, name), end in zip(starts, ends, strict=True):
        cell = line[start:end].strip()
        yield "*" if cell and name in _VARYING_COLUMNS else _form(cell)


def _form(text: str) -> str:
    for pattern, instead in _FORMS:
        text = pattern.sub(instead, text)
    return text.strip()


def _worded(line: str, choice: Mapping[str, str], varying: Varying) -> str:
    words = {**choice, **dict.fromkeys(varying.any_of, "<any>")}
    if not words:
        return line
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{pattern})(?![.-]?\w)", lambda found: words[found.group()], line)


def _matches(expected: Sequence[str], found: Sequence[str], *, loose: bool) -> bool:
    """Whether the lines are the expected ones, `...` standing for any."""
    pieces: list[list[str]] = [[]]
    for line in expected:
        if line == SKIP:
            pieces.append([])
        else:
            pieces[-1].append(line)
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return _same(first, found, loose)
    if not _same(first, found[: len(first)], loose):
        return False
    at = len(first)
    for piece in pieces[1:-1]:
        place = next((n for n in range(at, len(found) + 1) if _same(piece, found[n : n + len(piece)], loose)), None)
        if place is None:
            return False
        at = place + len(piece)
    return len(found) - len(last) >= at and _same(last, found[len(found) - len(last) :], loose)


def _same(expected: Sequence[str], found: Sequence[str], loose: bool) -> bool:
    """Line by line; of tables and of `panal rules`, and if `loose` always, the lines in any order."""
    if list(expected) == list(found):
        return True
    rows = loose or any(" | " in line or " -> " in line for line in expected)
    return rows and sorted(expected) == sorted(found)
