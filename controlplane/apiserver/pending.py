"""What the recipe needs from the pure modules, found when they are there."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _find(module: str, name: str) -> Any:
    try:
        return getattr(import_module(f"panal.controlplane.apiserver.{module}"), name)
    except (ImportError, AttributeError):
        return None


def table(resource: Any, objects: Any, **options: Any) -> Any:
    if found := _find("tables", "table"):
        return found(resource, objects, **options)
    return None
