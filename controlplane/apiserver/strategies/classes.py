"""The classes that pods name, and the leases of a cluster's parts."""

from __future__ import annotations

from ..defaults import others as defaults
from ..validation import classes, coordination
from .checked import Checked, Checks, Strict


class PriorityClassStrategy(Checked):
    has_generation = True
    specification = ("value", "preemptionPolicy")
    table = Checks(fill=defaults.priority_class, new=classes.priority_class, update=classes.priority_class_update)


class RuntimeClassStrategy(Strict):
    table = Checks(new=classes.runtime_class, update=classes.runtime_class_update)


class LeaseStrategy(Strict):
    allow_create_on_update = True
    table = Checks(check=coordination.lease)
