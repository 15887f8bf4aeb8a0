"""A KubeSchedulerConfiguration (`--config`): which profiles there are, and how long a refused pod backs off.

https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/ What is not understood is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from panal.durations import seconds

from .plugins import FILTERS, SCORES, fit, nodes
from .plugins.contract import Filter, Score
from .profiles import DEFAULT, NAME, Profile
from .queue import BACKOFF_FIRST, BACKOFF_MOST

VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
_IGNORED = frozenset(("apiVersion", "kind", "clientConnection", "leaderElection", "parallelism"))
_UNIMPORTANT = frozenset(("percentageOfNodesToScore", "enableProfiling", "enableContentionProfiling"))
"""Accepted without effect: all nodes are scored, whatever their number."""
_POINTS = ("multiPoint", "filter", "score")
_FIXED = frozenset(("PrioritySort", "SchedulingGates", "DefaultPreemption", "DefaultBinder"))
"""Plugins that are steps of every profile here: they can be enabled, which changes nothing, and not disabled."""

P = TypeVar("P", Filter, Score)


@dataclass(frozen=True)
class Configuration:
    profiles: tuple[Profile, ...] = DEFAULT
    backoff_first: float = BACKOFF_FIRST
    backoff_most: float = BACKOFF_MOST


def read(path: str) -> Configuration:
    """Raises OSError, and ValueError for a file that says what cannot be done."""
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    return parse(found)


def parse(found: Any) -> Configuration:
    """Raises ValueError."""
    if not isinstance(found, Mapping) or (found.get("apiVersion"), found.get("kind")) != (VERSION, KIND):
        raise ValueError(f"no {KIND} of {VERSION}")
    known = _IGNORED | _UNIMPORTANT | {"profiles", "podInitialBackoffSeconds", "podMaxBackoffSeconds"}
    _only(found, known, "")
    profiles = tuple(_profile(raw or {}, f"profiles[{index}]") for index, raw in enumerate(_list(found, "profiles")))
    names = [profile.name for profile in profiles]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f'profiles[{index}].schedulerName: Duplicate value: "{name}"')
    first, most = found.get("podInitialBackoffSeconds"), found.get("podMaxBackoffSeconds")
    return Configuration(
        profiles or DEFAULT,
        BACKOFF_FIRST if first is None else _duration(first),
        BACKOFF_MOST if most is None else _duration(most),
    )


def _duration(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else seconds(str(value))


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name) or []
    if not isinstance(value, list):
        raise ValueError(f"{name}: a list is wanted")
    return value


def _only(found: Mapping[str, Any], known: frozenset[str] | set[str], where: str) -> None:
    if strange := sorted(set(found) - known):
        raise ValueError(f"{where}{'.' if where else ''}{strange[0]}: not supported")


def _profile(raw: Mapping[str, Any], where: str) -> Profile:
    _only(raw, {"schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore"}, where)
    filters, scores = _configured(_list(raw, "pluginConfig"), where)
    plugins = raw.get("plugins") or {}
    _only(plugins, set(_POINTS), f"{where}.plugins")
    for point in _POINTS:
        sets = plugins.get(point) or {}
        _only(sets, {"enabled", "disabled"}, f"{where}.plugins.{point}")
        off = {item.get("name") for item in _list(sets, "disabled")}
        on = {item["name"]: item.get("weight") for item in _list(sets, "enabled")}
        _known(off | set(on), f"{where}.plugins.{point}")
        if point != "score":
            filters = _chosen(filters, FILTERS, off, set(on))
        if point != "filter":
            scores = _chosen(scores, SCORES, off, set(on))
            scores = tuple(replace(item, weight=int(on.get(item.name) or item.weight)) for item in scores)
    return Profile(str(raw.get("schedulerName") or NAME), filters, scores)


def _known(names: set[Any], where: str) -> None:
    known = {item.name for item in FILTERS} | {item.name for item in SCORES} | _FIXED | {"*"}
    if strange := sorted(str(name) for name in names if name not in known):
        raise ValueError(f'{where}: plugin "{strange[0]}" does not exist')


def _chosen(now: tuple[P, ...], all_: tuple[P, ...], off: set[Any], on: set[Any]) -> tuple[P, ...]:
    """What is on after some were turned off and some on; the order is always that of all plugins."""
    have = {item.name: item for item in now}
    return tuple(
        have.get(item.name, item)
        for item in all_
        if item.name in on or (item.name in have and item.name not in off and "*" not in off)
    )


def _configured(entries: list[Any], where: str) -> tuple[tuple[Filter, ...], tuple[Score, ...]]:
    filters, scores = FILTERS, SCORES
    for index, entry in enumerate(entries):
        name, args, place = entry.get("name"), entry.get("args") or {}, f"{where}.pluginConfig[{index}]"
        said = {key: value for key, value in args.items() if key not in ("apiVersion", "kind")}
        if name == "NodeAffinity":
            _only(said, {"addedAffinity"}, f"{place}.args")
            if added := said.get("addedAffinity"):
                filters = _with(filters, name, nodes.added_affinity(added))
        elif name == "NodeResourcesFit":
            _only(said, {"scoringStrategy"}, f"{place}.args")
            scores = _with(scores, name, _strategy(said.get("scoringStrategy") or {}, f"{place}.args.scoringStrategy"))
        elif said:
            raise ValueError(f"{place}: arguments of {name} are not supported")
    return filters, scores


def _strategy(raw: Mapping[str, Any], where: str) -> Any:
    _only(raw, {"type", "resources"}, where)
    kind = raw.get("type") or "LeastAllocated"
    if kind not in ("LeastAllocated", "MostAllocated"):
        raise ValueError(
            f'{where}.type: Unsupported value: "{kind}": supported values: "LeastAllocated", "MostAllocated"'
        )
    weights = {str(item["name"]): int(item.get("weight") or 1) for item in _list(raw, "resources")}
    return fit.allocated(weights or {"cpu": 1, "memory": 1}, most=kind == "MostAllocated")


def _with(plugins: tuple[P, ...], name: str, prepare: Any) -> tuple[P, ...]:
    return tuple(replace(item, prepare=prepare) if item.name == name else item for item in plugins)
