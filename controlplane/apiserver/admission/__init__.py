"""Admission: what may enter, and what is filled in from other objects before it does.

`MUTATING` and `VALIDATING` are the order, that of a real API server. Each plugin is a pure function of what is asked
(`Attributes`) and of what is stored (`Reader`); it changes only
`attributes.obj`, or raises Forbidden, Invalid or NotFound.
"""

from __future__ import annotations

from . import (
    ingressclass,
    limitranger,
    loopback,
    namespaces,
    noderestriction,
    nodetaint,
    podsecurity,
    priority,
    quota,
    runtimeclass,
    serviceaccount,
    storageclass,
    storageprotection,
    tolerations,
)
from .attributes import Attributes, Plugin, Reader, Webhooks

MUTATING: tuple[Plugin, ...] = (
    namespaces.admit,
    limitranger.admit,
    serviceaccount.admit,
    nodetaint.admit,
    priority.admit,
    tolerations.admit,
    ingressclass.admit,
    storageclass.admit,
    storageprotection.admit,
    runtimeclass.admit,
)
VALIDATING: tuple[Plugin, ...] = (
    limitranger.validate,
    noderestriction.validate,
    podsecurity.validate,
    runtimeclass.validate,
)
LAST: tuple[Plugin, ...] = (quota.validate,)
"""After the webhooks: what is counted is what is written."""


def mutating(in_loopback: bool) -> tuple[Plugin, ...]:
    """The mutating plugins of this network."""
    return (*MUTATING, loopback.admit) if in_loopback else MUTATING


__all__ = ["LAST", "MUTATING", "VALIDATING", "Attributes", "Plugin", "Reader", "Webhooks", "admit", "mutating"]


def admit(plugins: tuple[Plugin, ...], attributes: Attributes, reader: Reader) -> None:
    """Ask the plugins in order; the first that refuses raises."""
    for plugin in plugins:
        plugin(attributes, reader)
