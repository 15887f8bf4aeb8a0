"""Which kind behaves how: one table from group and plural to the Strategy class, each group in a module of its own.

A module is imported when a resource of its group is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from panal.resources import Resource

if TYPE_CHECKING:
    from ..strategy import Strategy

_CLASSES: dict[tuple[str, str], str] = {}
"""(group, plural) -> "module:class" in this folder."""


def strategy_class(resource: Resource) -> type[Strategy]:
    from ..strategy import Strategy

    where = _CLASSES.get((resource.group, resource.plural))
    if where is None:
        return Strategy
    module, _, name = where.partition(":")
    found: type[Strategy] = getattr(import_module(f".{module}", __name__), name)
    return found
