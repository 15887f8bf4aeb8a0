"""flowcontrol.apiserver.k8s.io: which requests wait for which others."""

from __future__ import annotations

from ..defaults import others as defaults
from ..validation import flowcontrol
from .checked import Checked, Checks


class FlowSchemaStrategy(Checked):
    has_generation = True
    table = Checks(fill=defaults.flow_schema, check=flowcontrol.flow_schema, status=flowcontrol.status)


class PriorityLevelStrategy(Checked):
    has_generation = True
    table = Checks(fill=defaults.priority_level, check=flowcontrol.priority_level, status=flowcontrol.status)
