"""Checks of what keeps pods running: Deployment, ReplicaSet, ReplicationController, DaemonSet, StatefulSet."""

from __future__ import annotations

import re
from typing import Any

from panal import formats
from panal.errors import StatusError
from panal.selectors import LabelSelector, from_label_selector

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from .checks import NOT_NEGATIVE, Object, not_negative
from .labelselectors import is_empty, label_selector
from .meta import IMMUTABLE
from .pods import pod_template

_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_WORDS = formats.regex_error(
    "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%"
)
_UNMATCHED = "`selector` does not match template `labels`"


def int_or_percent(value: Any, field: str) -> list[FieldError]:
    """A whole number that is not negative, or a percentage."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [bad(field, value, _PERCENT_WORDS)]
    return [bad(field, value, NOT_NEGATIVE)] if value < 0 else []


def _percent(value: Any) -> int:
    """The number, of percents or not; -1 for what is neither."""
    if isinstance(value, str):
        return int(value[:-1]) if _PERCENT.fullmatch(value) else -1
    return int(value)


def at_most_all(value: Any, field: str) -> list[FieldError]:
    if isinstance(value, str) and _percent(value) > 100:
        return [bad(field, value, "must not be greater than 100%")]
    return []


def _selector(spec: Object, kind: str) -> tuple[LabelSelector, list[FieldError]]:
    found = spec.get("selector")
    if found is None:
        return from_label_selector(None), [required("spec.selector")]
    errors = label_selector(found, "spec.selector")
    if is_empty(found):
        errors.append(bad("spec.selector", found, f"empty selector is invalid for {kind}"))
    try:
        return from_label_selector(found), errors
    except StatusError:
        return LabelSelector(), [*errors, bad("spec.selector", found, "invalid label selector")]


def _template(spec: Object, selector: LabelSelector, owner: str) -> list[FieldError]:
    """The pod template of what keeps pods running forever."""
    template = spec.get("template")
    if template is None:
        return [required("spec.template")]
    errors: list[FieldError] = []
    found = (template.get("metadata") or {}).get("labels")
    if not selector.empty and not selector.matches(found):
        errors.append(bad("spec.template.metadata.labels", found, _UNMATCHED))
    errors += pod_template(template, "spec.template")
    pod = template.get("spec") or {}
    policy = pod.get("restartPolicy", "Always")
    if policy != "Always":
        errors.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        words = f"activeDeadlineSeconds in {owner} is not Supported"
        errors.append(forbidden("spec.template.spec.activeDeadlineSeconds", words))
    return errors


def deployment(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = not_negative(spec, "spec", "replicas")
    selector, wrong = _selector(spec, "deployment")
    errors += wrong + _template(spec, selector, "ReplicaSet") + _strategy(spec.get("strategy") or {})
    errors += not_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline >= 0 and deadline <= spec.get("minReadySeconds", 0):
        errors.append(bad("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return errors


def _strategy(strategy: Object) -> list[FieldError]:
    field = "spec.strategy"
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            words = "may not be specified when strategy `type` is 'Recreate'"
            return [forbidden(f"{field}.rollingUpdate", words)]
        return []
    if kind != "RollingUpdate":
        return [not_supported(f"{field}.type", kind, ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [required(f"{field}.rollingUpdate", "this should be defaulted and never be nil")]
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    errors = int_or_percent(unavailable, f"{field}.rollingUpdate.maxUnavailable")
    errors += int_or_percent(surge, f"{field}.rollingUpdate.maxSurge")
    if _percent(unavailable) == 0 and _percent(surge) == 0:
        words = "may not be 0 when `maxSurge` is 0"
        errors.append(bad(f"{field}.rollingUpdate.maxUnavailable", unavailable, words))
    return errors + at_most_all(unavailable, f"{field}.rollingUpdate.maxUnavailable")


def selector_immutable(new: Object, old: Object) -> list[FieldError]:
    now, was = (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector")
    return [] if now == was else [bad("spec.selector", now, IMMUTABLE)]


def replica_set(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = not_negative(spec, "spec", "replicas", "minReadySeconds")
    selector, wrong = _selector(spec, "deployment")
    return errors + wrong + _template(spec, selector, "ReplicaSet")


def replication_controller(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = not_negative(spec, "spec", "minReadySeconds")
    found = spec.get("selector")
    if not found:
        errors.append(required("spec.selector"))
    errors += not_negative(spec, "spec", "replicas")
    return errors + _template(spec, from_label_selector({"matchLabels": found or {}}), "ReplicationController")


def daemon_set(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    selector, errors = _selector(spec, "daemonset")
    errors += _template(spec, selector, "DaemonSet")
    errors += not_negative(spec, "spec", "minReadySeconds")
    strategy = spec.get("updateStrategy") or {}
    kind, field = strategy.get("type", ""), "spec.updateStrategy"
    if kind == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            errors.append(required(f"{field}.rollingUpdate"))
        else:
            errors += _rolling_daemons(rolling, f"{field}.rollingUpdate")
    elif kind != "OnDelete":
        errors.append(not_supported(f"{field}.type", kind, ("RollingUpdate", "OnDelete")))
    return errors + not_negative(spec, "spec", "revisionHistoryLimit")


def _rolling_daemons(rolling: Object, field: str) -> list[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    errors: list[FieldError] = []
    for key, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        errors += int_or_percent(value, f"{field}.{key}") + at_most_all(value, f"{field}.{key}")
    if _percent(unavailable) == 0 and _percent(surge) == 0:
        errors.append(required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    elif _percent(unavailable) > 0 and _percent(surge) > 0:
        errors.append(bad(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    return errors


_MANAGEMENT = ("OrderedReady", "Parallel")
_MUTABLE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy", "minReadySeconds")  # fmt: skip
_RETENTION = ("Delete", "Retain")


def stateful_set(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors: list[FieldError] = []
    management = spec.get("podManagementPolicy", "")
    if not management:
        errors.append(required("spec.podManagementPolicy"))
    elif management not in _MANAGEMENT:
        errors.append(bad("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'"))
    errors += _set_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for key in ("whenDeleted", "whenScaled"):
        where = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
        if (policy := retention.get(key)) is not None and policy not in _RETENTION:
            errors.append(not_supported(where, policy, _RETENTION))
    errors += not_negative(spec, "spec", "replicas", "minReadySeconds")
    errors += not_negative(spec.get("ordinals") or {}, "spec.ordinals", "start")
    errors += not_negative(spec, "spec", "revisionHistoryLimit")
    selector, wrong = _selector(spec, "statefulset")
    return errors + wrong + _template(_with_claims(spec), selector, "StatefulSet")


def _set_strategy(strategy: Object, field: str) -> list[FieldError]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        return [required(field)]
    if kind == "OnDelete":
        words = "only allowed for updateStrategy 'RollingUpdate'"
        return [] if rolling is None else [bad(f"{field}.rollingUpdate", rolling, words)]
    if kind != "RollingUpdate":
        return [bad(field, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    errors = not_negative(rolling or {}, f"{field}.rollingUpdate", "partition")
    most, where = (rolling or {}).get("maxUnavailable"), f"{field}.rollingUpdate.maxUnavailable"
    if most is not None:
        errors += int_or_percent(most, where)
        if _percent(most) == 0:
            errors.append(bad(where, most, "cannot be 0"))
        errors += at_most_all(most, where)
    return errors


def _with_claims(spec: Object) -> Object:
    """The set with the volumes that its claim templates give each pod: containers may mount them."""
    names = [((claim or {}).get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or ()]
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    volumes = [volume for volume in pod.get("volumes") or () if volume.get("name") not in names]
    volumes += [{"name": name, "emptyDir": {}} for name in names if name]
    return {**spec, "template": {**template, "spec": {**pod, "volumes": volumes}}} if names else spec


def stateful_set_update(new: Object, old: Object) -> list[FieldError]:
    """The words name every field but the last, and then the last."""

    def fixed(obj: Object) -> dict[str, Any]:
        return {key: value for key, value in (obj.get("spec") or {}).items() if key not in _MUTABLE}

    if fixed(new) == fixed(old):
        return []
    names = ", ".join(f"'{key}'" for key in _MUTABLE[:-1])
    words = f"updates to statefulset spec for fields other than {names} and '{_MUTABLE[-1]}' are forbidden"
    return [forbidden("spec", words)]


def controller_revision(obj: Object) -> list[FieldError]:
    errors = [required("data", "data is mandatory")] if obj.get("data") is None else []
    return errors + [bad("revision", obj["revision"], NOT_NEGATIVE)] * (obj.get("revision", 0) < 0)


def controller_revision_update(new: Object, old: Object) -> list[FieldError]:
    return [] if new.get("data") == old.get("data") else [bad("data", new.get("data"), IMMUTABLE)]
