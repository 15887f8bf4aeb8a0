"""Which ServiceAccounts a namespace lacks. Pure."""

from __future__ import annotations

from ..meta import Object, name
from ..namespace.decide import is_ending

NAMES = ("default",)


def missing(namespace: Object, existing: set[str]) -> list[Object]:
    """The ServiceAccounts to create; none in a namespace that is ending."""
    if is_ending(namespace):
        return []
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": wanted, "namespace": name(namespace)}}
        for wanted in NAMES
        if wanted not in existing
    ]
