"""What is wrong with one field, rendered exactly as Kubernetes does, and the Invalid error that several of them make.

`FieldError` mirrors k8s.io/apimachinery's field.Error; `invalid(kind, group, name, errors)` is the 422 answer.
Paths are plain strings in Kubernetes' form (`spec.containers[0].name`, `data[a/b]`); `""` is the object itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from panal.errors import Invalid

Type = Literal[
    "Required", "Invalid", "NotSupported", "Forbidden", "Duplicate", "NotFound", "TooLong", "TooMany", "TypeInvalid",
    "InternalError",
]  # fmt: skip

_REASONS = {
    "Required": "FieldValueRequired", "Invalid": "FieldValueInvalid", "NotSupported": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden", "Duplicate": "FieldValueDuplicate", "NotFound": "FieldValueNotFound",
    "TooLong": "FieldValueTooLong", "TooMany": "FieldValueTooMany", "TypeInvalid": "FieldValueTypeInvalid",
    "InternalError": "InternalError",
}  # fmt: skip
_WORDS = {
    "Required": "Required value", "Invalid": "Invalid value", "NotSupported": "Unsupported value",
    "Forbidden": "Forbidden", "Duplicate": "Duplicate value", "NotFound": "Not found", "TooLong": "Too long",
    "TooMany": "Too many", "TypeInvalid": "Invalid value", "InternalError": "Internal error",
}  # fmt: skip
_SILENT = frozenset(("Required", "Forbidden", "TooLong", "InternalError"))
"""Types whose message does not show the value."""


@dataclass(frozen=True)
class Shown:
    """A value that is shown as this text, for what the API shows in a form of its own."""

    text: str


UNSHOWN = Shown("")
"""Stands for a value that the message leaves out."""


@dataclass(frozen=True)
class FieldError:
    """One complaint. `value` is the bad value as JSON (ignored for Required, Forbidden and TooLong)."""

    type: Type
    field: str
    value: Any = None
    detail: str = ""

    @property
    def reason(self) -> str:
        return _REASONS[self.type]

    @property
    def body(self) -> str:
        """The message without the field."""
        text = _WORDS[self.type]
        if self.type not in _SILENT and self.value is not UNSHOWN:
            text = f"{text}: {show(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.body}" if self.field else self.body


def go_quote(text: str) -> str:
    """A string as Go's %q prints it."""
    return orjson.dumps(text).decode().replace("\\u007f", "\\x7f") if text.isprintable() else _escape(text)


def _escape(text: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
    found = []
    for character in text:
        if character in '"\\':
            found.append(f"\\{character}")
        elif character.isprintable():
            found.append(character)
        elif character in short:
            found.append(short[character])
        else:
            code = ord(character)
            found.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(found) + '"'


def show(value: Any) -> str:
    if isinstance(value, Shown):
        return value.text
    if isinstance(value, str):
        return go_quote(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("Required", field, "", detail)


def bad(field: str, value: Any, detail: str) -> FieldError:
    """Invalid value."""
    return FieldError("Invalid", field, value, detail)


def unshown(field: str, detail: str) -> FieldError:
    """Invalid value, which the message does not show."""
    return FieldError("Invalid", field, UNSHOWN, detail)


def not_supported(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    shown = ", ".join(go_quote(item) for item in supported)
    return FieldError("NotSupported", field, value, f"supported values: {shown}" if shown else "")


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError("Forbidden", field, "", detail)


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("Duplicate", field, value)


def not_found(field: str, value: Any) -> FieldError:
    return FieldError("NotFound", field, value)


def too_long(field: str, limit: int) -> FieldError:
    return FieldError("TooLong", field, "", f"may not be more than {limit} bytes")


def too_many(field: str, actual: int, limit: int) -> FieldError:
    return FieldError("TooMany", field, actual, f"must have at most {limit} items")


def invalid(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> Invalid:
    """The 422 answer for one object, with a cause for every complaint."""
    messages = list(dict.fromkeys(str(error) for error in errors))
    joined = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    shown = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {
        **({"name": name} if name else {}),
        **({"group": group} if group else {}),
        **({"kind": kind} if kind else {}),
        "causes": [
            {
                "reason": error.reason,
                "message": error.body,
                **({"field": error.field} if error.field else {}),
            }
            for error in errors
        ],
    }
    return Invalid(f"{shown} {go_quote(name)} is invalid: {joined}", details=details)
