"""What a pod asks for and what a node has, as plain numbers: CPU in thousandths, all else in whole units. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from panal.quantity import milli, whole

Amounts = dict[str, int]
"""Resource name -> amount."""

DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024
"""What a container that asks for nothing counts as when nodes are scored, so that such pods spread too."""


def amounts(raw: Mapping[str, Any] | None) -> Amounts:
    return {name: milli(value) if name == "cpu" else whole(value) for name, value in (raw or {}).items()}


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _most(total: Amounts, other: Mapping[str, int]) -> None:
    for name, value in other.items():
        total[name] = max(total.get(name, 0), value)


def _requests(container: Mapping[str, Any], *, scoring: bool) -> Amounts:
    asked = (container.get("resources") or {}).get("requests") or {}
    found = amounts(asked)
    if scoring:
        found.setdefault("cpu", DEFAULT_CPU)
        found.setdefault("memory", DEFAULT_MEMORY)
    return found


def pod_requests(pod: Mapping[str, Any], *, scoring: bool = False) -> Amounts:
    """The pod's effective request: its containers together, or a bigger init container, plus the overhead.

    Sidecars (init containers that restart always) run beside all that start after them. What the pod asks for as a
    whole takes the place of its containers' sums. With `scoring`, containers that ask for nothing count as small ones.
    """
    spec = pod.get("spec") or {}
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container, scoring=scoring))
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _requests(container, scoring=scoring)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, own)
            _most(peak, sidecars)
        else:
            together = dict(sidecars)
            _add(together, own)
            _most(peak, together)
    _add(total, sidecars)
    _most(total, peak)
    total.update(amounts((spec.get("resources") or {}).get("requests")))
    _add(total, amounts(spec.get("overhead")))
    return {name: value for name, value in total.items() if value}


def host_ports(pod: Mapping[str, Any]) -> frozenset[tuple[str, str, int]]:
    """(address, protocol, port) of every port the pod takes on its node."""
    spec = pod.get("spec") or {}
    containers: Iterable[Mapping[str, Any]] = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return frozenset(
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(port["hostPort"]))
        for container in containers
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def ports_clash(wanted: Iterable[tuple[str, str, int]], taken: Iterable[tuple[str, str, int]]) -> bool:
    """0.0.0.0 stands for every address."""
    used = list(taken)
    return any(
        protocol == other and port == number and (address == where or "0.0.0.0" in (address, where))
        for address, protocol, port in wanted
        for where, other, number in used
    )
