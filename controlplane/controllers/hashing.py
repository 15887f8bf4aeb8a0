"""Hashes of pod templates that are safe as label values and as parts of names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import gotext

SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and no digits that look like them: no word can appear by chance."""
FNV_OFFSET, FNV_PRIME = 2166136261, 16777619


def fnv1a(data: bytes) -> int:
    """The 32-bit FNV-1a hash (draft-eastlake-fnv)."""
    value = FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    return "".join(SAFE[ord(char) % len(SAFE)] for char in text)


def fnv1(data: bytes) -> int:
    """The older of the two 32-bit FNV hashes."""
    value = FNV_OFFSET
    for byte in data:
        value = ((value * FNV_PRIME) & 0xFFFFFFFF) ^ byte
    return value


def template_hash(template: Mapping[str, Any], collisions: int | None = None) -> str:
    """The pod-template-hash of a template, and the hash of a DaemonSet's revision: the value that Kubernetes gives it.

    `collisions` moves it when another object has the name already.
    """
    data = gotext.dump(gotext.TEMPLATE, template).encode()
    if collisions is not None:
        data += collisions.to_bytes(8, "little")
    return safe_encode(str(fnv1a(data)))


def revision_hash(template: Mapping[str, Any], collisions: int | None = None) -> str:
    """The hash of a StatefulSet's revision, which is of the patch that brings the template back."""
    patch = {"spec": {"template": {**gotext.encode(gotext.TEMPLATE, template), "$patch": "replace"}}}
    return safe_encode(str(fnv1(gotext.json(patch) + (b"" if collisions is None else str(collisions).encode()))))


def normal(value: Any) -> Any:
    """The value without empty fields, which mean the same as absent ones: `creationTimestamp: null`, `labels: {}`.

    Empty volume sources (`emptyDir: {}`) carry meaning by their presence and stay.
    """
    if isinstance(value, Mapping):
        return {k: normal(v) for k, v in value.items() if v is not None and not (k in OPTIONAL and not v)}
    if isinstance(value, list | tuple):
        return [normal(v) for v in value]
    return value


OPTIONAL = frozenset(
    {"annotations", "env", "args", "command", "labels", "ports", "resources", "securityContext", "volumes"}
)
