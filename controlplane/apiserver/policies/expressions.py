"""CEL over requests: what policies and the match conditions of webhooks see, and what an expression says of it. Pure.

Objects are JSON as they are stored: times are strings. `authorizer` is not there; what needs it, or what the library
lacks, is never evaluated: `unsupported` says so, and who writes such an expression is warned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..admission.attributes import Attributes
from ..custom import functions, rules
from ..webhooks import review
from . import literals

Object = dict[str, Any]

_AUTHORIZER = re.compile(r"\bauthorizer\b")
_KEPT = 512
"""Compiled expressions that are kept."""


class Failed(Exception):
    """An expression that could not be evaluated."""


@lru_cache(_KEPT)
def program(expression: str) -> Any:
    """The compiled expression, None for one that cannot be run here. Raises rules.Complaint for what is no CEL."""
    return None if _AUTHORIZER.search(expression) else rules.compiled(literals.plain(expression))


def complaint(expression: str) -> str:
    """What is wrong with an expression, "" for none."""
    try:
        program(expression)
    except rules.Complaint as error:
        return f"compilation failed: {error}"
    return ""


def unsupported(expression: str) -> bool:
    """Whether it is CEL that cannot be run here."""
    return not complaint(expression) and program(expression) is None


def run(expression: str, seen: Mapping[str, Any]) -> Any:
    """The value of an expression. Raises Failed."""
    try:
        compiled = program(expression)
        if compiled is None:
            raise Failed("not supported by this server")
        return compiled.execute(rules.engine().Context(dict(seen), functions=functions.TABLE))
    except Failed:
        raise
    except KeyError as error:
        raise Failed(f"no such key: {error.args[0] if error.args else error}") from None
    except Exception as error:
        raise Failed(str(error)) from None


def seen(asked: Attributes) -> Object:
    """`object`, `oldObject` and `request`."""
    deleting = asked.operation == "DELETE"
    return {
        "object": None if deleting else asked.obj,
        "oldObject": asked.old,
        "request": _request(asked),
    }


def _request(asked: Attributes) -> Object:
    kind, place = review.names(asked.resource)
    asked_kind, asked_place = review.names(asked.requested or asked.resource)
    return {
        "kind": kind,
        "resource": place,
        "subResource": asked.subresource,
        "requestKind": asked_kind,
        "requestResource": asked_place,
        "requestSubResource": asked.subresource,
        "name": asked.obj["metadata"].get("name") or asked.name,
        "namespace": asked.namespace,
        "operation": asked.operation,
        "userInfo": {"username": asked.user, "groups": list(asked.groups), "uid": "", "extra": dict(asked.extra)},
        "dryRun": asked.dry_run,
    }


def conditions_hold(conditions: Any, variables: Mapping[str, Any]) -> bool:
    """Whether all match conditions are true; one that is false decides, whatever fails. Raises Failed."""
    failures = []
    for each in conditions or ():
        try:
            if run(each["expression"], variables) is not True:
                return False
        except Failed as error:
            failures.append(f"expression '{each['expression']}' resulted in error: {error}")
    if failures:
        raise Failed(", ".join(failures))
    return True
