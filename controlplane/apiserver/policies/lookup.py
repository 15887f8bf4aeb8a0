"""Policies with their bindings as they are in the watch cache, and the params that a binding gives to its policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from panal.errors import StatusError
from panal.resources import Resource, by_kind
from panal.selectors import from_label_selector

from .. import keys
from ..admission.attributes import Attributes, Reader
from ..cache import Cache
from .policy import Binding, Misconfigured, Policy, concerns

Object = dict[str, Any]

GROUP = "admissionregistration.k8s.io"
"""No policy speaks of policies: nobody could take a broken one away."""
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}


class Bound:
    """The policies of one kind that have bindings; read again when one of them changes."""

    def __init__(
        self, cache: Cache, policies: Resource, bindings: Resource, custom: Callable[[str, str], Resource | None]
    ) -> None:
        """`custom` finds the custom resource of an apiVersion and kind."""
        self._policies = cache.shelf(keys.location(policies))
        self._bindings = cache.shelf(keys.location(bindings))
        self._custom = custom
        self._state = (-1, -1)
        self._found: list[tuple[Policy, list[Binding]]] = []

    def concerning(self, asked: Attributes, reader: Reader) -> Iterator[tuple[Policy, Binding, Resource]]:
        """Those that a request is subject to, in the order of their names, and as what."""
        if not len(self._bindings) or asked.resource.group == GROUP:
            return
        for policy, bindings in self._all():
            if (found := concerns(policy.constraints, asked, reader)) is not None:
                for binding in bindings:
                    if binding.match is None or concerns(binding.match, asked, reader) is not None:
                        yield policy, binding, found

    def _all(self) -> list[tuple[Policy, list[Binding]]]:
        state = (self._policies.revision, self._bindings.revision)
        if state != self._state:
            bindings: dict[str, list[Binding]] = {}
            for item in self._bindings.list():
                made = Binding.read(item.decode())
                bindings.setdefault(made.policy, []).append(made)
            self._found = [
                (Policy.read(item.decode()), sorted(bindings[item.name], key=lambda each: each.name))
                for item in sorted(self._policies.list(), key=lambda each: each.name)
                if item.name in bindings
            ]
            self._state = state
        return self._found

    def params(self, policy: Policy, binding: Binding, asked: Attributes, reader: Reader) -> Iterator[Object | None]:
        """The parameters that a binding gives to its policy, one after the other. Raises Misconfigured."""
        kind, reference = policy.param_kind, binding.param_reference
        if not kind or not reference:
            yield None
            return
        found = by_kind(kind["apiVersion"], kind["kind"]) or self._custom(kind["apiVersion"], kind["kind"])
        if found is None:
            raise Misconfigured(f"failed to find resource referenced by paramKind: '{_shown(kind)}'")
        namespace = str(reference.get("namespace") or "")
        if not found.namespaced and namespace:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        if found.namespaced and not namespace:
            if not asked.resource.namespaced:
                raise Misconfigured(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                )
            namespace = asked.namespace
        params = list(_referred(found, reference, namespace, reader))
        if params:
            yield from params
        elif reference.get("parameterNotFoundAction", "Deny") != "Allow":
            raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")


def _referred(found: Resource, reference: Object, namespace: str, reader: Reader) -> Iterator[Object]:
    if reference.get("name"):
        one = reader.get(found, namespace, str(reference["name"]))
        if one is not None:
            yield one
        return
    selector = from_label_selector(reference.get("selector") or {})
    for each in reader.list(found, namespace):
        if selector.matches(each["metadata"].get("labels") or {}):
            yield each


def _shown(kind: Object) -> str:
    group, _, version = str(kind["apiVersion"]).rpartition("/")
    return f"{group}/{version}, Kind={kind['kind']}"


def refusal(asked: Attributes, message: str, reason: str = "") -> StatusError:
    """What a client hears when a policy denies."""
    where, name = asked.resource, str(asked.obj["metadata"].get("name") or asked.name)
    details = {
        **({"name": name} if name else {}),
        **({"group": where.group} if where.group else {}),
        "kind": where.plural,
        "causes": [{"message": message}],
    }
    shown = f'{where.group_resource} "{name}"' if name else where.group_resource
    reason = reason or "Invalid"
    return StatusError(f"{shown} is forbidden: {message}", code=_CODES.get(reason, 422), reason=reason, details=details)
