"""What the checks have in common: a pod's containers, and the words that name the offenders. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...fielderrors import go_quote

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Violation:
    """Why a pod is not of a level: the reason alone is what a summary shows."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[Spec, Spec], Violation | None]
"""Of a pod's metadata and spec."""


def containers(spec: Spec) -> Iterator[Spec]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def context(owner: Spec) -> Spec:
    """The security context of a pod's spec or of a container."""
    found: Spec = owner.get("securityContext") or {}
    return found


def quoted(names: Iterable[str]) -> str:
    return ", ".join(go_quote(name) for name in names)


def plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def named(names: list[str], word: str = "container") -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{plural(word, len(names))} {quoted(names)}"


def setters(pod: bool, names: list[str]) -> str:
    """The pod, containers or both, as those who set something."""
    return " and ".join([*(["pod"] if pod else []), *([named(names)] if names else [])])


def where(spec: Spec, test: Callable[[Spec], bool]) -> list[str]:
    """The names of the containers for which it holds."""
    return [str(each.get("name", "")) for each in containers(spec) if test(each)]


def in_windows(spec: Spec) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


def own_users(spec: Spec) -> bool:
    """Whether the pod has a user namespace of its own."""
    return spec.get("hostUsers") is False
