"""One policy and its bindings, read from their objects: whom they concern, and what they say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from panal.resources import Resource
from panal.selectors import LabelSelector, from_label_selector

from ..admission.attributes import Attributes, Reader
from ..webhooks import equivalents, matching
from .expressions import Failed, conditions_hold, run, seen

Object = dict[str, Any]

_MESSAGE_BYTES = 5 * 1024
_VARIABLE = "variables"


class Misconfigured(Exception):
    """A binding that cannot be used as it is."""


@dataclass(frozen=True)
class Match:
    """A MatchResources."""

    rules: tuple[Mapping[str, Any], ...]
    excluded: tuple[Mapping[str, Any], ...]
    namespaces: LabelSelector
    objects: LabelSelector
    policy: str = "Equivalent"

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Match:
        return cls(
            tuple(found.get("resourceRules") or ()),
            tuple(found.get("excludeResourceRules") or ()),
            from_label_selector(found.get("namespaceSelector") or {}),
            from_label_selector(found.get("objectSelector") or {}),
            str(found.get("matchPolicy") or "Equivalent"),
        )


def concerns(match: Match, asked: Attributes, reader: Reader) -> Resource | None:
    """As what a request is one of those, None if it is not. A binding without rules takes its policy's."""
    if equivalents.named(match.excluded, match.policy, asked, _rule) is not None:
        return None
    found = equivalents.named(match.rules, match.policy, asked, _rule) if match.rules else asked.resource
    if found is None or not matching.selected(match.namespaces, match.objects, asked, reader):
        return None
    return found


def _rule(rule: Mapping[str, Any], asked: Attributes) -> bool:
    names = rule.get("resourceNames")
    if names and (asked.obj["metadata"].get("name") or asked.name) not in names:
        return False
    return matching.covers(rule, asked)


@dataclass(frozen=True)
class Binding:
    """A binding of either kind of policy."""

    name: str
    policy: str
    actions: frozenset[str]
    param_reference: Object
    match: Match | None

    @classmethod
    def read(cls, obj: Object) -> Binding:
        spec = obj["spec"]
        match, actions = spec.get("matchResources"), frozenset(spec.get("validationActions") or ())
        return cls(
            str(obj["metadata"]["name"]), str(spec.get("policyName", "")), actions,
            dict(spec.get("paramRef") or {}), Match.read(match) if match else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """A policy that validates or mutates."""

    name: str
    spec: Object
    constraints: Match

    @classmethod
    def read(cls, obj: Object) -> Policy:
        spec = obj["spec"]
        return cls(str(obj["metadata"]["name"]), spec, Match.read(spec.get("matchConstraints") or {}))

    @property
    def fails_closed(self) -> bool:
        """Whether an expression that cannot be evaluated denies."""
        return bool(self.spec.get("failurePolicy", "Fail") == "Fail")

    @property
    def param_kind(self) -> Object:
        return dict(self.spec.get("paramKind") or {})

    def prepared(self, asked: Attributes, params: Object | None, namespace: Object | None) -> Object | None:
        """What the policy's expressions see, None where its conditions do not hold. Raises Failed."""
        found = {**seen(asked), "params": params, "namespaceObject": namespace}
        if not conditions_hold(self.spec.get("matchConditions"), found):
            return None
        return {**found, _VARIABLE: self._variables(found)}

    def evaluate(self, asked: Attributes, params: Object | None, namespace: Object | None) -> Iterator[tuple[str, str]]:
        """(message, reason) of each validation that does not hold."""
        try:
            found = self.prepared(asked, params, namespace)
        except Failed as error:
            if self.fails_closed:
                yield str(error), ""
            return
        if found is None:
            return
        for validation in self.spec.get("validations") or ():
            expression = validation["expression"]
            try:
                holds = run(expression, found)
            except Failed as error:
                if self.fails_closed:
                    yield f"expression '{expression.strip()}' resulted in error: {error}", ""
                continue
            if holds is not True:
                yield _message(validation, found), str(validation.get("reason") or "")

    def _variables(self, found: Mapping[str, Any]) -> Object:
        """Each may use those before it; one that fails is absent, so that only who uses it fails."""
        made: Object = {}
        for variable in self.spec.get("variables") or ():
            try:
                made[variable["name"]] = run(variable["expression"], {**found, _VARIABLE: made})
            except Failed:
                continue
        return made


def _message(validation: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if words := validation.get("messageExpression"):
        try:
            made = run(words, found)
        except Failed:
            made = None
        if isinstance(made, str) and made.strip() and "\n" not in made and len(made.encode()) <= _MESSAGE_BYTES:
            return made.strip()
    return str(validation.get("message") or "").strip() or f"failed expression: {validation['expression'].strip()}"
