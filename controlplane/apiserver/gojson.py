"""What Go's encoding/json says of text that is no JSON, which clients of Kubernetes are used to read."""

from __future__ import annotations

import json
from typing import Any

_WHERE = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}
_KINDS: dict[type, str] = {
    dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number",
}  # fmt: skip


def kind(value: Any) -> str:
    """What Go calls a JSON value."""
    return _KINDS.get(type(value), "null")


def complaint(body: bytes) -> str:
    """The message for text that cannot be read. Go counts bytes: one beyond ASCII is shown as its Latin-1 letter."""
    text = body.decode("latin-1")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _words(text, error)
    except RecursionError:
        return "exceeded max depth"
    return "invalid UTF-8"


def _words(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    if error.msg.startswith("Invalid \\"):
        position += 1
    elif error.msg.startswith("Illegal trailing comma"):
        position = next((at for at in range(error.pos + 1, len(text)) if not text[at].isspace()), len(text))
    if position >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    if error.msg.startswith("Expecting ',' delimiter"):
        where = "after object key:value pair" if _innermost(text[:position]) == "{" else "after array element"
    else:
        where = next((words for start, words in _WHERE.items() if error.msg.startswith(start)), "in literal")
    return f"invalid character {_shown(text[position])} {where}"


def _innermost(text: str) -> str:
    """The last bracket that is open."""
    stack: list[str] = []
    quoted = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character in "[{":
            stack.append(character)
        elif character in "]}" and stack:
            stack.pop()
    return stack[-1] if stack else ""


def _shown(character: str) -> str:
    """As Go's quoteChar shows a byte."""
    if (escaped := _ESCAPES.get(character)) is not None:
        return f"'{escaped}'"
    return f"'{character}'" if character.isprintable() else f"'\\x{ord(character):02x}'"


_ESCAPES = {"'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}
