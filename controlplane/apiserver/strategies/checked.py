"""Kinds whose behaviour is a table of functions: what is filled in, and what is wrong with a new or changed object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy

Check = Callable[[Object], list[FieldError]]
Change = Callable[[Object, Object], list[FieldError]]


def _nothing(obj: Object) -> None:
    """Fills in nothing."""


def _fine(obj: Object) -> list[FieldError]:
    return []


def _free(new: Object, old: Object) -> list[FieldError]:
    return []


@dataclass(frozen=True)
class Checks:
    """The functions of a kind. They see the objects alone, and change nothing but what they fill in."""

    fill: Callable[[Object], None] = _nothing
    check: Check = _fine
    """Of an object as it is, new or changed."""
    new: Check = _fine
    """Of new objects only."""
    update: Change = _free
    """Of the difference that an update makes."""
    status: Change = _free
    """Of what is written to the status subresource."""
    update_first: bool = False
    """Whether what is wrong with the change is told before what is wrong with the object."""


class Checked(Strategy):
    """A kind with such a table."""

    table: ClassVar[Checks] = Checks()

    def default(self, obj: Object) -> None:
        self.table.fill(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return self.table.new(obj) + self.table.check(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        changed, found = self.table.update(obj, old), self.table.check(obj)
        return changed + found if self.table.update_first else found + changed

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return self.table.status(obj, old)


class Strict(Checked):
    """Updates name the revision they change."""

    allow_unconditional_update = False


class Versioned(Strict):
    """Strict, with a generation that rises with the specification."""

    has_generation = True
