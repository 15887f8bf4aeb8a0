"""Kubernetes' object literals in CEL, as maps: `Object{spec: Object.spec{replicas: 3}}`, `JSONPatch{op: "add", ...}`.

The library knows no messages. What a mutation makes becomes JSON in any case, so that the names of its types, which
only say where a value belongs, can go. Pure.
https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

import re

_TYPES = ("Object", "JSONPatch")
_ESCAPE = "jsonpatch.escapeKey"
_QUOTES = r"'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
_TOKEN = re.compile(
    rf"(?P<text>[rRbB]{{0,2}}(?:{_QUOTES}))|(?P<space>\s+|//[^\n]*)|(?P<name>[A-Za-z_]\w*|`[^`]*`)|(?P<other>\d[\w.]*|.)",
    re.DOTALL,
)


def plain(expression: str) -> str:
    """The expression with maps for messages."""
    if not any(f"{name}" in expression for name in (*_TYPES, _ESCAPE)):
        return expression
    return _maps([(found.lastgroup or "", found[0]) for found in _TOKEN.finditer(expression)]).replace(
        f"{_ESCAPE}(", "escapeKey("
    )


def _maps(tokens: list[tuple[str, str]]) -> str:
    out: list[str] = []
    open_: list[bool] = []  # whether each open bracket is a message's
    chain: int | None = None  # where the name of a type begins in `out`
    before = ""
    for kind, text in tokens:
        if kind == "space":
            out.append(text)
            continue
        if text == "{":
            message = chain is not None
            if chain is not None:
                del out[chain:]
            open_.append(message)
        elif text in ("(", "["):
            open_.append(False)
        elif text in ("}", ")", "]") and open_:
            open_.pop()
        if kind == "name" and before in ("{", ",") and open_ and open_[-1]:
            out.append(f'"{text.strip("`")}"')
            chain = None
        else:
            if kind == "name" and text in _TYPES and before != ".":
                chain = len(out)
            elif not (chain is not None and (text == "." or (kind == "name" and before == "."))):
                chain = None
            out.append(text)
        before = text
    return "".join(out)
