"""A KubeSchedulerConfiguration (`--config`): which profiles there are, and how long a refused pod backs off.

https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/ What is not understood is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from panal.durations import seconds

from . import steps
from .plugins import FILTERS, SCORES, fit, nodes
from .plugins.contract import Filter, Score
from .profiles import DEFAULT, NAME, Profile
from .queue import BACKOFF_FIRST, BACKOFF_MOST

VERSION, KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
_IGNORED = frozenset(("apiVersion", "kind", "clientConnection", "leaderElection", "parallelism"))
_UNIMPORTANT = frozenset(("percentageOfNodesToScore", "enableProfiling", "enableContentionProfiling"))
"""Accepted without effect: all nodes are scored, whatever their number."""
_STEPS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "queueSort": ("queue_sort", steps.QUEUE_SORT),
    "filter": ("filters", FILTERS),
    "postFilter": ("post_filters", steps.POST_FILTERS),
    "score": ("scores", SCORES),
    "reserve": ("reserves", steps.RESERVES),
    "permit": ("permits", steps.PERMITS),
    "preBind": ("pre_binds", steps.PRE_BINDS),
    "bind": ("binds", steps.BINDS),
}
"""Extension point -> field of a Profile, and every plugin there is."""
_POINTS = ("multiPoint", "preEnqueue", *_STEPS)
_FIXED = frozenset(("SchedulingGates",))
"""The API's promise, not a profile's choice: it can be enabled, which changes nothing, and not disabled."""

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
    chosen: dict[str, Any] = {field: every for field, every in _STEPS.values()}
    chosen |= {"filters": filters, "scores": scores}
    plugins = raw.get("plugins") or {}
    _only(plugins, set(_POINTS), f"{where}.plugins")
    for point in _POINTS:
        sets, place = plugins.get(point) or {}, f"{where}.plugins.{point}"
        _only(sets, {"enabled", "disabled"}, place)
        off = {item.get("name") for item in _list(sets, "disabled")}
        on = {item["name"]: item.get("weight") for item in _list(sets, "enabled")}
        _known(off, set(on), point, place)
        for each in _STEPS if point == "multiPoint" else {point} & set(_STEPS):
            field, every = _STEPS[each]
            chosen[field] = _chosen(chosen[field], every, off, set(on))
            if each == "score":
                chosen[field] = tuple(replace(i, weight=int(on.get(i.name) or i.weight)) for i in chosen[field])
    name = str(raw.get("schedulerName") or NAME)
    for field, kind in (("queue_sort", "queue sort"), ("binds", "bind")):
        if not chosen[field]:
            raise ValueError(f'{where}.plugins: at least one {kind} plugin is needed for profile "{name}"')
    return Profile(name, **chosen)


def _known(off: set[Any], on: set[str], point: str, where: str) -> None:
    points = _STEPS if point == "multiPoint" else {point} & set(_STEPS)
    known = {item.name for each in points for item in _STEPS[each][1]}
    fixed = _FIXED if point in ("multiPoint", "preEnqueue") else frozenset()
    if strange := sorted(str(name) for name in off | on if name not in known | fixed | {"*"}):
        raise ValueError(f'{where}: plugin "{strange[0]}" does not exist')
    if kept := sorted(str(name) for name in off & fixed):
        raise ValueError(f'{where}: plugin "{kept[0]}" cannot be disabled')


def _chosen(now: tuple[Any, ...], all_: tuple[Any, ...], off: set[Any], on: set[str]) -> tuple[Any, ...]:
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
