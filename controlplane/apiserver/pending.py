"""What the recipe needs from the pure modules, found when they are there."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _find(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"panal.controlplane.apiserver.{module}"), name)
    except (ImportError, AttributeError):
        return None


def decode(resource: Any, obj: Any, field_validation: str) -> list[str]:
    found = _find("schema", "decode")
    return list(found(resource, obj, field_validation) or []) if found else []


def track_update(resource: Any, old: Any, new: Any, **options: Any) -> None:
    if found := _find("apply", "track_update"):
        found(resource, old, new, **options)


def apply(resource: Any, live: Any, applied: Any, **options: Any) -> Any:
    if found := _find("apply", "apply"):
        return found(resource, live, applied, **options)
    return merge_patch(live, applied) if live else applied


def json_patch(obj: Any, ops: Any) -> Any:
    if found := _find("patch", "json_patch"):
        return found(obj, ops)
    import jsonpatch

    return jsonpatch.apply_patch(obj, ops)


def merge_patch(obj: Any, patch: Any) -> Any:
    if found := _find("patch", "merge_patch"):
        return found(obj, patch)
    if not isinstance(patch, dict):
        return patch
    result = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge_patch(resource: Any, obj: Any, patch: Any) -> Any:
    if found := _find("patch", "strategic_merge_patch"):
        return found(resource, obj, patch)
    return merge_patch(obj, patch)


def table(resource: Any, objects: Any, **options: Any) -> Any:
    if found := _find("tables", "table"):
        return found(resource, objects, **options)
    return None
