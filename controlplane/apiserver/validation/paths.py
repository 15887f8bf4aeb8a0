"""Checks of paths inside a volume."""

from __future__ import annotations

from ..fielderrors import FieldError, bad


def no_backsteps(path: str, field: str) -> list[FieldError]:
    """A path that never goes upwards."""
    return [bad(field, path, "must not contain '..'")] if ".." in path.split("/") else []


def descending(path: str, field: str) -> list[FieldError]:
    """A path below where it starts."""
    errors = [bad(field, path, "must be a relative path")] if path.startswith("/") else []
    return errors + no_backsteps(path, field)


def unreserved(path: str, field: str) -> list[FieldError]:
    """A path whose name is not one of those the kubelet keeps for itself."""
    errors = descending(path, field)
    if path.startswith("..") and not path.startswith("../"):
        errors.append(bad(field, path, "must not start with '..'"))
    return errors
