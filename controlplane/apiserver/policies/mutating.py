"""MutatingAdmissionPolicies: an object as their CEL makes it, by a JSON patch or as if its fields were applied.

https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from panal.errors import StatusError
from panal.resources import NAMESPACES, Resource, resource

from ..admission.attributes import Attributes, Reader
from ..cache import Cache
from ..schema import Type
from ..webhooks import equivalents
from .expressions import Failed, run
from .lookup import Bound, refusal
from .policy import Binding, Misconfigured, Policy

Object = dict[str, Any]

_POLICIES = resource("mutatingadmissionpolicies")
_BINDINGS = resource("mutatingadmissionpolicybindings")


class MutatingPolicies:
    """A mutating admission plugin. Each policy sees what those before it made of the object."""

    def __init__(self, cache: Cache, custom: Callable[[str, str], Resource | None]) -> None:
        """`custom` finds the custom resource of an apiVersion and kind."""
        self._bound = Bound(cache, _POLICIES, _BINDINGS, custom)

    def __call__(self, asked: Attributes, reader: Reader) -> None:
        """Raises StatusError where a policy that must act cannot."""
        if asked.operation == "DELETE":
            return
        left: dict[tuple[str, str], bytes] = {}
        for policy, binding, found in list(self._bound.concerning(asked, reader)):
            self._act(policy, binding, found, asked, reader)
            left[policy.name, binding.name] = _encoded(asked.obj)
        if len(left) < 2:
            return
        for policy, binding, found in list(self._bound.concerning(asked, reader)):
            seen = left.get((policy.name, binding.name))
            if policy.spec.get("reinvocationPolicy") == "IfNeeded" and seen != _encoded(asked.obj):
                self._act(policy, binding, found, asked, reader)

    def _act(self, policy: Policy, binding: Binding, found: Resource, asked: Attributes, reader: Reader) -> None:
        space = reader.get(NAMESPACES, "", asked.namespace) if asked.resource.namespaced else None
        try:
            for params in list(self._bound.params(policy, binding, asked, reader)):
                for patch in policy.spec.get("mutations") or ():
                    view = equivalents.view(asked, found)  # as the patch before this one left the object
                    if (seen := policy.prepared(view, params, space)) is None:
                        break
                    _become(view, patched(patch, view, seen))
                    equivalents.accept(asked, view)
        except (Failed, Misconfigured, StatusError) as error:
            if policy.fails_closed:
                why = error.message if isinstance(error, StatusError) else str(error)
                words = f"policy '{policy.name}' with binding '{binding.name}' denied request: {why}"
                raise refusal(asked, words) from error


def patched(mutation: Mapping[str, Any], asked: Attributes, seen: Mapping[str, Any]) -> Object:
    """The object as one mutation makes it. Raises Failed, StatusError."""
    from ..merge import merged
    from ..patch.jsonpatches import json_patch
    from ..schema import schema

    if mutation.get("patchType") == "JSONPatch":
        operations = run(mutation["jsonPatch"]["expression"], seen)
        if not isinstance(operations, list):
            raise Failed("JSONPatch expression must evaluate to a list of JSONPatch")
        return dict(json_patch(asked.obj, _json(operations)))
    applied = run(mutation["applyConfiguration"]["expression"], seen)
    if not isinstance(applied, dict):
        raise Failed("ApplyConfiguration expression must evaluate to an Object")
    kind, applied = schema().of(asked.resource), _json(applied)
    if atomic := list(_atomic(kind, applied, "")):
        words = "may not mutate atomic arrays, maps or structs"
        raise Failed(f"invalid ApplyConfiguration: {words}: {', '.join(atomic)}")
    return dict(_json(merged(kind, asked.obj, applied)))


def _json(value: Any) -> Any:
    """A copy of its own. Raises Failed for what is no JSON."""
    try:
        return orjson.loads(orjson.dumps(value))
    except TypeError as error:
        raise Failed(f"the result is no JSON: {error}") from None


def _atomic(kind: Type, value: Any, path: str) -> Iterator[str]:
    """Where an applied value has what can only be replaced as a whole."""
    from ..fieldsets import child, granular

    if not isinstance(value, (dict, list)):
        return
    if not granular(kind, value):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _atomic(child(kind, key), item, f"{path}.{key}")
    elif kind.items is not None:
        for index, item in enumerate(value):
            yield from _atomic(kind.items, item, f"{path}[{index}]")


def _become(asked: Attributes, made: Object) -> None:
    """Take over a changed object, with the defaults of what is new. Raises StatusError, Failed."""
    from ..decode import decode
    from ..strategy import strategy_for

    metadata = made.get("metadata")
    for key in ("apiVersion", "kind"):
        if made.get(key) != asked.obj.get(key):
            raise Failed(f"{key} may not be changed by a mutation")
    if not isinstance(metadata, dict):
        raise Failed("the patched object has no metadata")
    decode(asked.resource, made, "Ignore")
    strategy_for(asked.resource).default(made)
    asked.obj.clear()
    asked.obj.update(made)


def _encoded(obj: Object) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
