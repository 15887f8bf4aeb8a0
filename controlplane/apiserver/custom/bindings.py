"""What the CEL library has no form for, written as what it has. Pure.

`cel.bind(x, value, body)` is `[value].map(x, body)[0]`; functions whose names have a dot get one without.
"""

from __future__ import annotations

import re

_BIND = re.compile(r"\bcel\.bind\(")
_NAMESPACED = re.compile(r"(?<![\w.])(sets|ip)\.(contains|equivalent|intersects|isCanonical)\(")
_DEPTH = 16
"""Bindings within each other at most."""
_LITERAL = re.compile(
    r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""",
    re.DOTALL,
)


def rewritten(expression: str) -> str:
    """The same expression for the library; what cannot be read is left as it is, for the library to complain of."""
    found = _NAMESPACED.sub(r"\1_\2(", expression)
    for _ in range(_DEPTH):
        matches = list(_BIND.finditer(found))
        if not matches:
            break
        match = matches[-1]  # which has no other inside
        parts, end = _arguments(found, match.end())
        if len(parts) != 3:
            break
        name, value, body = parts
        found = f"{found[: match.start()]}([{value}].map({name.strip()}, {body})[0]){found[end:]}"
    return found


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """What stands between the commas up to the closing bracket, and where that ends; nothing if it is missing."""
    parts, depth, at, begun = [], 0, start, start
    while at < len(text):
        if (literal := _LITERAL.match(text, at)) is not None:
            at = literal.end()
            continue
        each = text[at]
        if each in ")]}" and depth == 0:
            parts.append(text[begun:at])
            return parts, at + 1
        if each == "," and depth == 0:
            parts.append(text[begun:at])
            begun = at + 1
        depth += (each in "([{") - (each in ")]}")
        at += 1
    return [], at
