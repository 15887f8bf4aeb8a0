"""Checks of the workloads: Deployment, ReplicaSet, ReplicationController, DaemonSet, StatefulSet, Job, CronJob, HPA."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from panal import formats
from panal.errors import StatusError
from panal.selectors import LabelSelector, from_label_selector

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from .cron import schedule_error
from .labelselectors import is_empty, label_selector
from .meta import IMMUTABLE
from .pods import pod_template

Object = Mapping[str, Any]

NOT_NEGATIVE = "must be greater than or equal to 0"
_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_WORDS = formats.regex_error(
    "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%"
)
_UNMATCHED = "`selector` does not match template `labels`"


def not_negative(spec: Object, field: str, *keys: str) -> list[FieldError]:
    return [bad(f"{field}.{key}", spec[key], NOT_NEGATIVE) for key in keys if (spec.get(key) or 0) < 0]


def int_or_percent(value: Any, field: str) -> list[FieldError]:
    """A whole number that is not negative, or a percentage."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [bad(field, value, _PERCENT_WORDS)]
    return [bad(field, value, NOT_NEGATIVE)] if value < 0 else []


def _percent(value: Any) -> int:
    return (
        int(value[:-1])
        if isinstance(value, str) and _PERCENT.fullmatch(value)
        else int(value)
        if isinstance(value, int)
        else -1
    )


def _at_most_all(value: Any, field: str) -> list[FieldError]:
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
    if policy in ("OnFailure", "Never"):
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
    return errors + _at_most_all(unavailable, f"{field}.rollingUpdate.maxUnavailable")


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
        errors += int_or_percent(value, f"{field}.{key}") + _at_most_all(value, f"{field}.{key}")
    if _percent(unavailable) == 0 and _percent(surge) == 0:
        errors.append(required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    elif _percent(unavailable) > 0 and _percent(surge) > 0:
        errors.append(bad(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    return errors


_MANAGEMENT = ("OrderedReady", "Parallel")
_MUTABLE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy", "minReadySeconds")  # fmt: skip


def stateful_set(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors: list[FieldError] = []
    management = spec.get("podManagementPolicy", "")
    if not management:
        errors.append(required("spec.podManagementPolicy"))
    elif management not in _MANAGEMENT:
        errors.append(bad("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'"))
    strategy = spec.get("updateStrategy") or {}
    kind = strategy.get("type", "")
    if kind not in ("RollingUpdate", "OnDelete"):
        errors.append(bad("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'"))
    errors += not_negative(strategy.get("rollingUpdate") or {}, "spec.updateStrategy.rollingUpdate", "partition")
    errors += not_negative(spec, "spec", "replicas", "minReadySeconds")
    selector, wrong = _selector(spec, "statefulset")
    return errors + wrong + _template(_with_claims(spec), selector, "StatefulSet")


def _with_claims(spec: Object) -> Object:
    """The set with the volumes that its claim templates give each pod: containers may mount them."""
    names = [((claim or {}).get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or ()]
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    volumes = [volume for volume in pod.get("volumes") or () if volume.get("name") not in names]
    volumes += [{"name": name, "emptyDir": {}} for name in names if name]
    return {**spec, "template": {**template, "spec": {**pod, "volumes": volumes}}} if names else spec


def stateful_set_update(new: Object, old: Object) -> list[FieldError]:
    def fixed(obj: Object) -> dict[str, Any]:
        return {key: value for key, value in (obj.get("spec") or {}).items() if key not in _MUTABLE}

    if fixed(new) == fixed(old):
        return []
    names = ", ".join(f"'{key}'" for key in _MUTABLE[:-1])
    return [
        forbidden(
            "spec", f"updates to statefulset spec for fields other than {names} and 'minReadySeconds' are forbidden"
        )
    ]


def job(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors = job_spec(spec, "spec")
    if (selector := spec.get("selector")) is None:
        errors.append(required("spec.selector"))
    else:
        errors += label_selector(selector, "spec.selector")
        found = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if not from_label_selector(selector).matches(found):
            errors.append(bad("spec.template.metadata.labels", found, "`selector` does not match template `labels`"))
    return errors


def job_spec(spec: Object, field: str) -> list[FieldError]:
    errors = not_negative(
        spec, field, "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes",
    )  # fmt: skip
    mode = spec.get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        errors.append(not_supported(f"{field}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed" and spec.get("completions") is None:
        errors.append(required(f"{field}.completions", "when completion mode is Indexed"))
    template = spec.get("template") or {}
    errors += pod_template(template, f"{field}.template")
    policy = (template.get("spec") or {}).get("restartPolicy", "")
    where = f"{field}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        errors.append(required(where, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        errors.append(not_supported(where, policy, ("OnFailure", "Never")))
    return errors


def job_update(new: Object, old: Object) -> list[FieldError]:
    """Selector, mode and completions stay; the template may change only while the job is suspended and never ran."""
    now, was = new.get("spec") or {}, old.get("spec") or {}
    keys = ["completionMode", "selector"]
    if not (now.get("completionMode") == "Indexed" and now.get("completions") == now.get("parallelism")):
        keys.append("completions")
    if not (was.get("suspend") and not (old.get("status") or {}).get("startTime")):
        keys.append("template")
    return [bad(f"spec.{key}", now.get(key), IMMUTABLE) for key in keys if now.get(key) != was.get(key)]


def cron_job(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors: list[FieldError] = []
    schedule = spec.get("schedule", "")
    if not schedule:
        errors.append(required("spec.schedule"))
    elif problem := schedule_error(schedule):
        errors.append(bad("spec.schedule", schedule, problem))
    errors += not_negative(
        spec, "spec", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"
    )
    errors += _time_zone(spec.get("timeZone"))
    policy = spec.get("concurrencyPolicy", "")
    if not policy:
        errors.append(required("spec.concurrencyPolicy"))
    elif policy not in ("Allow", "Forbid", "Replace"):
        errors.append(not_supported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace")))
    return errors + job_spec((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")


def _time_zone(zone: str | None) -> list[FieldError]:
    if zone is None:
        return []
    if not zone:
        return [bad("spec.timeZone", zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        return [
            bad(
                "spec.timeZone",
                zone,
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            )
        ]
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return [bad("spec.timeZone", zone, f"unknown time zone {zone}")]
    return []


def autoscaler(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    errors: list[FieldError] = []
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if low is not None and low < 1:
        errors.append(bad("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    if low is not None and high < low:
        errors.append(bad("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    for key in ("kind", "name"):
        if not target.get(key):
            errors.append(required(f"spec.scaleTargetRef.{key}"))
        else:
            from .meta import path_segment_name

            errors += [bad(f"spec.scaleTargetRef.{key}", target[key], text) for text in path_segment_name(target[key])]
    version = target.get("apiVersion", "")
    if "/" not in version and target.get("kind") != "ReplicationController":
        errors.append(bad("spec.scaleTargetRef.apiVersion", version, "apiVersion must specify API group"))
    from . import autoscaling

    errors += autoscaling.metrics(spec.get("metrics"), "spec.metrics")
    return errors + autoscaling.behavior(spec.get("behavior"), "spec.behavior")


def disruption_budget(obj: Object) -> list[FieldError]:
    from ..fielderrors import Shown, show

    spec: Object = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    errors: list[FieldError] = []
    if least is not None and most is not None:
        text = (
            f'{{"MinAvailable":{show(least)},"Selector":{show(spec.get("selector"))},"MaxUnavailable":{show(most)},'
            f'"UnhealthyPodEvictionPolicy":{show(spec.get("unhealthyPodEvictionPolicy"))}}}'
        )
        errors.append(bad("spec", Shown(text), "minAvailable and maxUnavailable cannot be both set"))
    for key, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            errors += int_or_percent(value, f"spec.{key}") + _at_most_all(value, f"spec.{key}")
    return errors + label_selector(spec.get("selector"), "spec.selector")
