"""The cells of each kind's row, in the order of its columns: `row(object, now) -> cells`, `now` in epoch seconds."""

from __future__ import annotations

from .cells import Row
from .core import CORE
from .network import NETWORK
from .others import OTHERS
from .pods import PODS
from .workloads import WORKLOADS

ROWS: dict[tuple[str, str], Row] = {**CORE, **PODS, **WORKLOADS, **NETWORK, **OTHERS}
"""By (group, plural)."""
