"""A namespace's labels as a policy: the levels, and versions of the standards, that it enforces and warns of. Pure.

https://kubernetes.io/docs/concepts/security/pod-security-admission/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...fielderrors import FieldError, bad

LEVELS = ("privileged", "baseline", "restricted")
LATEST = 1 << 16
"""The minor version that `latest` stands for: no version of the standards is newer."""
_PREFIX = "pod-security.kubernetes.io/"
_VERSION = re.compile(r"v1\.(0|[1-9]\d{0,3})")


@dataclass(frozen=True)
class Level:
    """One level of the standards, as they were in Kubernetes 1.`minor`."""

    name: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.name}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    @property
    def strictness(self) -> int:
        return LEVELS.index(self.name)


@dataclass(frozen=True)
class Policy:
    enforce: Level
    warn: Level
    errors: tuple[FieldError, ...] = ()
    """What is wrong with the labels; a level that cannot be read is the strictest."""


def of(labels: Mapping[str, str]) -> Policy:
    """The policy of a namespace with these labels. Audit labels are checked and no more: there is no audit log."""
    errors: list[FieldError] = []
    enforce, warn, _ = (_level(labels, mode, errors) for mode in ("enforce", "warn", "audit"))
    if _PREFIX + "warn" not in labels and enforce.strictness > warn.strictness:
        warn = enforce
    return Policy(enforce, warn, tuple(errors))


def _level(labels: Mapping[str, str], mode: str, errors: list[FieldError]) -> Level:
    key, version_key = f"{_PREFIX}{mode}", f"{_PREFIX}{mode}-version"
    name, version = labels.get(key, "privileged"), labels.get(version_key, "latest")
    minor = LATEST
    if name not in LEVELS:
        errors.append(bad(f"metadata.labels[{key}]", name, f"must be one of {', '.join(LEVELS)}"))
        name = "restricted" if mode == "enforce" else "privileged"
    if version != "latest":
        found = _VERSION.fullmatch(version)
        if found is None:
            errors.append(bad(f"metadata.labels[{version_key}]", version, 'must be "latest" or "v1.x"'))
        else:
            minor = int(found[1])
    return Level(name, minor)
