"""PodSecurity: pods of a namespace are of the level that its labels say, or are refused, or their clients warned.

https://kubernetes.io/docs/concepts/security/pod-security-admission/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal.errors import Forbidden
from panal.resources import NAMESPACES, PODS

from ..attributes import Attributes, Object, Reader
from . import baseline, policy, restricted
from .policy import Level, Policy
from .visits import Check, Spec, Violation

_LABEL = "pod-security.kubernetes.io/"
_TEMPLATES = {
    ("", "replicationcontrollers"): ("spec", "template"),
    ("", "podtemplates"): ("template",),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
"""Where the kinds that make pods have their template: these are never refused, only warned of."""
_PODS_LOOKED_AT = 3000
"""Of a namespace whose level changes."""


def violations(level: Level, metadata: Spec, spec: Spec) -> list[Violation]:
    """Everything that keeps a pod from being of the level."""
    if level.name == "privileged":
        return []
    chosen = _since(baseline.CHECKS, level.minor)
    if level.name == "restricted":
        more = _since(restricted.CHECKS, level.minor)
        for name in more:
            chosen.pop(restricted.REPLACES.get(name, ""), None)
        chosen.update(more)
    return [found for check in chosen.values() if (found := check(metadata, spec)) is not None]


def _since(checks: tuple[tuple[str, tuple[tuple[int, Check], ...]], ...], minor: int) -> dict[str, Check]:
    """Each check as it was in that version."""
    return {
        name: [check for first, check in versions if first <= minor][-1]
        for name, versions in checks
        if versions[0][0] <= minor
    }


def validate(attributes: Attributes, reader: Reader) -> None:
    """Raises Forbidden for a pod that its namespace does not allow."""
    if attributes.operation not in ("CREATE", "UPDATE"):
        return
    if attributes.resource == NAMESPACES:
        if not attributes.subresource:
            _namespace(attributes, reader)
        return
    if attributes.resource == PODS:
        if attributes.subresource in ("", "ephemeralcontainers", "resize"):
            _pod(attributes, reader)
    elif not attributes.subresource and (where := _TEMPLATES.get(_key(attributes))) is not None:
        _template(attributes, reader, where)


def _key(attributes: Attributes) -> tuple[str, str]:
    return attributes.resource.group, attributes.resource.plural


def _policy(attributes: Attributes, reader: Reader) -> Policy | None:
    """The namespace's policy, None when it asks for nothing."""
    labels = _labels(reader.get(NAMESPACES, "", attributes.namespace))
    if not any(key.startswith(_LABEL) for key in labels):
        return None
    return policy.of(labels)


def _labels(namespace: Object | None) -> Mapping[str, str]:
    found: Mapping[str, str] = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return found


def _pod(attributes: Attributes, reader: Reader) -> None:
    found = _policy(attributes, reader)
    obj, old = attributes.obj, attributes.old
    if found is None or (old is not None and not _matters(obj, old)):
        return
    if bad := violations(found.enforce, obj["metadata"], obj["spec"]):
        raise _forbidden(attributes, f'violates PodSecurity "{found.enforce}": {_told(bad)}')
    _warn(attributes, found, obj["metadata"], obj["spec"])


def _matters(new: Object, old: Object) -> bool:
    """Whether an update changes what the checks look at; only images and annotations can, and new containers."""
    keys = ("containers", "initContainers", "ephemeralContainers")
    for key in keys:
        images = [[each.get("image") for each in pod["spec"].get(key) or ()] for pod in (new, old)]
        if images[0] != images[1]:
            return True
    annotations = [pod["metadata"].get("annotations") or {} for pod in (new, old)]
    return _profiles(annotations[0]) != _profiles(annotations[1])


def _profiles(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if "apparmor" in key or "seccomp" in key}


def _template(attributes: Attributes, reader: Reader, where: tuple[str, ...]) -> None:
    found = _policy(attributes, reader)
    template: Any = attributes.obj
    for key in where:
        template = (template or {}).get(key)
    if found is not None and template:
        _warn(attributes, found, template.get("metadata") or {}, template.get("spec") or {})


def _warn(attributes: Attributes, found: Policy, metadata: Spec, spec: Spec) -> None:
    if bad := violations(found.warn, metadata, spec):
        attributes.warnings.append(f'would violate PodSecurity "{found.warn}": {_told(bad)}')


def _told(found: list[Violation]) -> str:
    return ", ".join(str(each) for each in found)


def _namespace(attributes: Attributes, reader: Reader) -> None:
    new = policy.of(_labels(attributes.obj))
    old = policy.of(_labels(attributes.old))
    if new.errors and (attributes.old is None or new.errors != old.errors):
        texts = [str(error) for error in new.errors]
        raise _refused_labels(attributes, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    if attributes.old is None or new.enforce == old.enforce:
        return
    if new.enforce.minor == old.enforce.minor and new.enforce.strictness <= old.enforce.strictness:
        return
    attributes.warnings += _existing(attributes.obj["metadata"]["name"], new.enforce, reader)


def _existing(namespace: str, level: Level, reader: Reader) -> list[str]:
    """What is there already and would not come in any more."""
    groups: dict[str, list[str]] = {}
    for index, pod in enumerate(reader.list(PODS, namespace)):
        if index >= _PODS_LOOKED_AT:
            break
        if bad := violations(level, pod["metadata"], pod["spec"]):
            groups.setdefault(", ".join(each.reason for each in bad), []).append(pod["metadata"]["name"])
    if not groups:
        return []
    first = f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}"'
    lines = sorted(f"{_counted(sorted(names))}: {reasons}" for reasons, names in groups.items())
    return [first, *lines]


def _counted(names: list[str]) -> str:
    others = len(names) - 1
    return f"{names[0]} (and {others} other pod{'s' if others > 1 else ''})" if others else names[0]


def _forbidden(attributes: Attributes, why: str) -> Forbidden:
    plural, name = attributes.resource.plural, attributes.obj["metadata"].get("name", "")
    return Forbidden(f'{plural} "{name}" is forbidden: {why}', details={"name": name, "kind": plural})


def _refused_labels(attributes: Attributes, why: str) -> Forbidden:
    refusal = _forbidden(attributes, why)
    refusal.code, refusal.reason = 422, "Invalid"
    return refusal
