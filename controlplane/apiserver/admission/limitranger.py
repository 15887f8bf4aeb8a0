"""LimitRanger: containers that ask for nothing get a namespace's defaults, and nobody gets less or more than it allows.

https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from panal.errors import Forbidden
from panal.quantity import parse
from panal.resources import LIMITRANGES, PERSISTENTVOLUMECLAIMS, PODS

from ..quantities import written
from . import amounts
from .amounts import Amounts
from .attributes import Attributes, Object, Reader

ANNOTATION = "kubernetes.io/limit-ranger"


def admit(attributes: Attributes, reader: Reader) -> None:
    """Fill in what the namespace's limit ranges give to containers that do not say."""
    if not attributes.creates(PODS):
        return
    for limit_range in reader.list(LIMITRANGES, attributes.namespace):
        _fill(attributes.obj, limit_range)


def validate(attributes: Attributes, reader: Reader) -> None:
    """Raises Forbidden for what is outside the namespace's limits."""
    obj, old = attributes.obj, attributes.old
    if attributes.subresource or (old is not None and old["metadata"].get("deletionTimestamp")):
        return
    if attributes.creates(PODS):
        check = _pod
    elif attributes.resource == PERSISTENTVOLUMECLAIMS and attributes.operation in ("CREATE", "UPDATE"):
        check = _claim
    else:
        return
    for limit_range in reader.list(LIMITRANGES, attributes.namespace):
        problems = [words for limit in _limits(limit_range) for words in check(obj, limit)]
        if problems:
            raise _forbidden(attributes, problems)


def _limits(limit_range: Object) -> list[dict[str, Any]]:
    return (limit_range.get("spec") or {}).get("limits") or []


def _forbidden(attributes: Attributes, problems: list[str]) -> Forbidden:
    plural, name = attributes.resource.plural, attributes.obj["metadata"].get("name", "")
    unique = list(dict.fromkeys(problems))
    why = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    return Forbidden(f'{plural} "{name}" is forbidden: {why}', details={"name": name, "kind": plural})


def _fill(pod: Object, limit_range: Object) -> None:
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for limit in _limits(limit_range):
        if limit.get("type") == "Container":
            requests.update(limit.get("defaultRequest") or {})
            limits.update(limit.get("default") or {})
    done: list[str] = []
    for key, kind in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(key) or ():
            resources = container.setdefault("resources", {})
            limited = _missing(resources, "limits", limits)
            for what, names in (("request", _missing(resources, "requests", requests)), ("limit", limited)):
                if names:
                    done.append(f"{', '.join(names)} {what} for {kind} {container.get('name', '')}")
    if done:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = {**annotations, ANNOTATION: "LimitRanger plugin set: " + "; ".join(done)}


def _missing(resources: dict[str, Any], which: str, defaults: Mapping[str, str]) -> list[str]:
    """Add what is not there; the names added."""
    present = resources.get(which) or {}
    added = sorted(name for name in defaults if name not in present)
    if added:
        resources[which] = {**present, **{name: defaults[name] for name in added}}
    return added


def _pod(obj: Object, limit: Mapping[str, Any]) -> Iterator[str]:
    spec, kind = obj["spec"], limit.get("type", "")
    if kind == "Container":
        for key in ("containers", "initContainers"):
            for container in spec.get(key) or ():
                resources = container.get("resources") or {}
                yield from _each(limit, resources.get("requests") or {}, resources.get("limits") or {})
    elif kind == "Pod":
        yield from _each(limit, _texts(amounts.of_pod(spec, "requests")), _texts(amounts.of_pod(spec, "limits")))


def _texts(found: Amounts) -> dict[str, str]:
    return {name: written(amount, binary=name != "cpu" and not amount % 1024) for name, amount in found.items()}


def _each(limit: Mapping[str, Any], requests: Mapping[str, str], limits: Mapping[str, str]) -> Iterator[str]:
    kind = limit["type"]
    for name, bound in sorted((limit.get("min") or {}).items()):
        yield from _at_least(f"minimum {name} usage per {kind} is {bound}", bound, requests.get(name), limits.get(name))
    for name, bound in sorted((limit.get("max") or {}).items()):
        yield from _at_most(f"maximum {name} usage per {kind} is {bound}", bound, requests.get(name), limits.get(name))
    for name, bound in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        words = f"{name} max limit to request ratio per {kind} is {bound}"
        yield from _ratio(words, bound, requests.get(name), limits.get(name))


def _at_least(words: str, bound: str, request: str | None, limit: str | None) -> Iterator[str]:
    if request is None:
        yield f"{words}.  No request is specified"
    elif parse(request) < parse(bound):
        yield f"{words}, but request is {request}"
    elif limit is not None and parse(limit) < parse(bound):
        yield f"{words}, but limit is {limit}"


def _at_most(words: str, bound: str, request: str | None, limit: str | None) -> Iterator[str]:
    if limit is None:
        yield f"{words}.  No limit is specified"
    elif parse(limit) > parse(bound):
        yield f"{words}, but limit is {limit}"
    elif request is not None and parse(request) > parse(bound):
        yield f"{words}, but request is {request}"


def _ratio(words: str, bound: str, request: str | None, limit: str | None) -> Iterator[str]:
    if request is None or not parse(request):
        yield f"{words}, but no request is specified or request is 0"
    elif limit is None or not parse(limit):
        yield f"{words}, but no limit is specified or limit is 0"
    else:
        found = parse(limit) / parse(request)
        if found > parse(bound):
            yield f"{words}, but provided ratio is {found:.6f}"


def _claim(obj: Object, limit: Mapping[str, Any]) -> Iterator[str]:
    kind = limit.get("type", "")
    if kind != "PersistentVolumeClaim":
        return
    requests = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
    for name, bound in sorted((limit.get("min") or {}).items()):
        yield from _at_least(f"minimum {name} usage per {kind} is {bound}", bound, requests.get(name), None)
    for name, bound in sorted((limit.get("max") or {}).items()):
        words, request = f"maximum {name} usage per {kind} is {bound}", requests.get(name)
        if request is None:
            yield f"{words}.  No request is specified"
        elif parse(request) > parse(bound):
            yield f"{words}, but request is {request}"
