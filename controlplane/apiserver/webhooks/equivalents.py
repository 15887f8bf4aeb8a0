"""`matchPolicy: Equivalent`: a rule about one version of a kind is about its other versions too, whose objects it then
sees as its own version has them.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchpolicy
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from panal.resources import Resource, all_resources

from ..admission.attributes import Attributes, Object
from ..custom.resource import CustomResource
from ..strategy import strategy_for

Rules = Iterable[Mapping[str, Any]]

_SHARED = ("horizontalpodautoscalers", "events")
"""The built-in kinds that are served in two versions; Events in two groups."""


def others(resource: Resource) -> tuple[Resource, ...]:
    """What else holds the same objects."""
    if isinstance(resource, CustomResource):
        return resource.siblings
    return _built_in(resource) if resource.plural in _SHARED else ()


@cache
def _built_in(resource: Resource) -> tuple[Resource, ...]:
    return tuple(each for each in all_resources() if each.plural == resource.plural and each != resource)


def named(
    rules: Rules, policy: str | None, asked: Attributes, covers: Callable[[Mapping[str, Any], Attributes], bool]
) -> Resource | None:
    """As what rules name a request: its own resource, an equivalent one, or not at all."""
    rules = tuple(rules)
    if any(covers(rule, asked) for rule in rules):
        return asked.resource
    if policy == "Exact" or asked.subresource not in ("", "status"):
        return None
    for other in others(asked.resource):
        seen = replace(asked, resource=other)
        if any(covers(rule, seen) for rule in rules):
            return other
    return None


def view(asked: Attributes, resource: Resource) -> Attributes:
    """The request as it would be about that resource; the very same where it is. Warnings are shared."""
    if resource == asked.resource:
        return asked
    old = None if asked.old is None else converted(asked.old, resource)
    return replace(asked, resource=resource, obj=converted(asked.obj, resource), old=old, requested=asked.resource)


def accept(asked: Attributes, seen: Attributes) -> None:
    """Take over what somebody made of the object that they saw."""
    if seen is not asked:
        made = converted(seen.obj, asked.resource)
        asked.obj.clear()
        asked.obj.update(made)


def by_webhook(resource: Resource) -> bool:
    """Whether only a conversion webhook can say what another version of that kind is."""
    return isinstance(resource, CustomResource) and resource.webhook is not None


def converted(obj: Object, resource: Resource) -> Object:
    """A copy of the object as that resource has it."""
    made: Object = orjson.loads(orjson.dumps(obj))
    if isinstance(resource, CustomResource):
        from ..custom import pruning

        made["apiVersion"] = resource.api_version
        pruning.prune(resource.schema, made)
        return made
    from ..strategies.converting import Converting

    strategy = strategy_for(resource)
    return strategy.convert(made, resource.api_version) if isinstance(strategy, Converting) else made
