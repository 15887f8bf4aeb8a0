"""What the CEL library has no form for, written as what it has. Pure.

`cel.bind(x, value, body)` is `[value].map(x, body)[0]`; `self.?a.b.orValue(x)` is
`has(self.a) && has(self.a.b) ? self.a.b : x`; functions whose names have a dot get one without.
"""

from __future__ import annotations

import re

_BIND = re.compile(r"\bcel\.bind\(")
_NAMESPACED = re.compile(r"(?<![\w.])(sets|ip)\.(contains|equivalent|intersects|isCanonical)\(")
_OPTIONAL = re.compile(
    r"(?<![\w.?])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\.\?[A-Za-z_]\w*(?:\.\??[A-Za-z_]\w*)*?)\.(orValue|hasValue)\("
)
_FORMS = 64
"""Bindings, and optional values, in one expression at most."""
_LITERAL = re.compile(
    r"""[rR]?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""",
    re.DOTALL,
)


def rewritten(expression: str) -> str:
    """The same expression for the library; what cannot be read is left as it is, for the library to complain of."""
    return _optional(_bound(_NAMESPACED.sub(r"\1_\2(", expression)))


def _bound(text: str) -> str:
    for _ in range(_FORMS):
        matches = list(_BIND.finditer(text))
        if not matches:
            break
        match = matches[-1]  # which has no other inside
        parts, end = _arguments(text, match.end())
        if len(parts) != 3:
            break
        name, value, body = parts
        text = f"{text[: match.start()]}([{value}].map({name.strip()}, {body})[0]){text[end:]}"
    return text


def _optional(text: str) -> str:
    for _ in range(_FORMS):
        match = _OPTIONAL.search(text)
        if match is None:
            break
        parts, end = _arguments(text, match.end())
        if len(parts) != 1:
            break
        path, there = match[1], []
        for name in match[2].replace("?", "").strip(".").split("."):
            path = f"{path}.{name}"
            there.append(f"has({path})")
        known = " && ".join(there)
        made = f"({known} ? {path} : ({parts[0]}))" if match[3] == "orValue" else f"({known})"
        text = text[: match.start()] + made + text[end:]
    return text


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
