"""Which webhooks are asked about a request: rules, selectors and their order. Pure.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from panal.resources import NAMESPACES, Resource
from panal.selectors import LabelSelector, from_label_selector

from ..admission import Attributes
from ..admission.attributes import Object, Reader
from .equivalents import named

_GROUP = "admissionregistration.k8s.io"
"""Webhooks are never asked about webhooks and policies: nobody could take a broken one away."""


@dataclass(frozen=True)
class Webhook:
    """One webhook of one configuration."""

    name: str
    configuration: str
    spec: Mapping[str, Any]
    namespaces: LabelSelector
    objects: LabelSelector

    @property
    def ignores_failures(self) -> bool:
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def seconds(self) -> float:
        return float(self.spec.get("timeoutSeconds") or 10)

    @property
    def has_side_effects(self) -> bool:
        return self.spec.get("sideEffects") not in ("None", "NoneOnDryRun")


def webhooks(configurations: Iterable[Object]) -> list[Webhook]:
    """Those of all configurations, in the order of their names."""
    ordered = sorted(configurations, key=lambda each: str(each["metadata"]["name"]))
    return [
        Webhook(
            str(spec.get("name", "")),
            str(each["metadata"]["name"]),
            spec,
            from_label_selector(spec.get("namespaceSelector") or {}),
            from_label_selector(spec.get("objectSelector") or {}),
        )
        for each in ordered
        for spec in each.get("webhooks") or ()
    ]


def concerns(hook: Webhook, asked: Attributes, reader: Reader) -> Resource | None:
    """As what the webhook is to be asked about the request, None if it is not."""
    if asked.resource.group == _GROUP:
        return None
    found = named(hook.spec.get("rules") or (), hook.spec.get("matchPolicy"), asked, covers)
    return found if found is not None and selected(hook.namespaces, hook.objects, asked, reader) else None


def selected(namespaces: LabelSelector, objects: LabelSelector, asked: Attributes, reader: Reader) -> bool:
    """Whether the request's namespace and object have the labels that are asked for."""
    return _namespace(namespaces, asked, reader) and _object(objects, asked)


def covers(rule: Mapping[str, Any], asked: Attributes) -> bool:
    """Whether a RuleWithOperations names the request."""
    resource = asked.resource
    return (
        _has(rule.get("operations"), asked.operation)
        and _has(rule.get("apiGroups"), resource.group)
        and _has(rule.get("apiVersions"), resource.version)
        and rule.get("scope", "*") in ("*", "Namespaced" if resource.namespaced else "Cluster")
        and any(_resource(each, resource.plural, asked.subresource) for each in rule.get("resources") or ())
    )


def _has(values: Iterable[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _resource(pattern: str, plural: str, subresource: str) -> bool:
    name, _, below = pattern.partition("/")
    return name in ("*", plural) and below in ("*", subresource)


def _namespace(selector: LabelSelector, asked: Attributes, reader: Reader) -> bool:
    """Cluster-scoped objects are in no namespace and always concerned, but namespaces, which have labels themselves."""
    if asked.resource == NAMESPACES:
        return selector.matches(_labels(asked.obj))
    if not asked.resource.namespaced:
        return True
    return selector.matches(_labels(reader.get(NAMESPACES, "", asked.namespace)))


def _object(selector: LabelSelector, asked: Attributes) -> bool:
    return any(selector.matches(_labels(each)) for each in (asked.obj, asked.old) if each is not None)


def _labels(obj: Object | None) -> Mapping[str, str]:
    found: Mapping[str, str] = ((obj or {}).get("metadata") or {}).get("labels") or {}
    return found
