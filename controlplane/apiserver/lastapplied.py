"""From client-side to server-side apply: what `kubectl apply` left in its annotation eases the first server-side one.

Only for the manager that `kubectl apply --server-side` is by default: it may change, without a conflict, the fields
that the annotation declares and that nobody has changed since; and the annotation follows what it applies.
"""

from __future__ import annotations

from typing import Any

import orjson

from panal.errors import BadRequest
from panal.resources import Resource

from . import fieldsets
from .decode import decode
from .fieldsets import Set
from .schema import schema

Object = dict[str, Any]

MANAGER = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_LIMIT = 262_144
"""Bytes of all annotations of an object at most."""


def ceded(resource: Resource, live: Object | None, manager: str) -> Set:
    """The fields over which the manager has no conflicts."""
    text = _annotations(live).get(ANNOTATION)
    if live is None or manager != MANAGER or not isinstance(text, str):
        return {}
    try:
        last = orjson.loads(text)
        if not isinstance(last, dict) or not isinstance(last.get("metadata", {}), dict):
            return {}
        decode(resource, last, complete=False)
    except (orjson.JSONDecodeError, BadRequest):
        return {}
    kind = schema().of(resource)
    changed, removed = fieldsets.compare(kind, last, live)
    declared = fieldsets.applied(kind, last)
    return fieldsets.difference(fieldsets.difference(declared, changed), removed)


def followed(result: Object, applied: Object, manager: str) -> Object:
    """The result with an annotation that says what was applied, where it has one."""
    annotations = _annotations(result)
    if manager != MANAGER or ANNOTATION not in annotations:
        return result
    text = _configuration(applied)
    if annotations[ANNOTATION] == text:
        return result
    others = {key: value for key, value in annotations.items() if key != ANNOTATION}
    size = sum(len(key) + len(str(value)) for key, value in others.items()) + len(ANNOTATION) + len(text.encode())
    if size <= _LIMIT:
        others[ANNOTATION] = text
    return {**result, "metadata": {**result["metadata"], "annotations": others}}


def _configuration(applied: Object) -> str:
    """The applied object as kubectl writes it: without the annotation itself, keys sorted, one line."""
    metadata = dict(applied.get("metadata") or {})
    if annotations := {key: value for key, value in _annotations(applied).items() if key != ANNOTATION}:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return orjson.dumps({**applied, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def _annotations(obj: Object | None) -> Object:
    return ((obj or {}).get("metadata") or {}).get("annotations") or {}
