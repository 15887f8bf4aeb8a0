"""Checks of Jobs and CronJobs, new and changed."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from panal import formats
from panal.selectors import from_label_selector

from ..fielderrors import FieldError, Shown, bad, not_supported, required, too_long
from . import jobpolicies
from .checks import Object, choice, domain_path, not_negative
from .cron import schedule_error
from .labelselectors import label_selector
from .meta import IMMUTABLE, immutable
from .pods import pod_template

_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
_LEGACY_UID, _LEGACY_NAME = "controller-uid", "job-name"
_MANAGER_CHARACTERS = 63
_MOST_AT_ONCE, _MOST_FAILED = 100_000, 100_000
_MANY, _AT_ONCE_OF_MANY, _FAILED_OF_MANY = 100_000, 10_000, 10_000
"""Indexed jobs with a limit for each index: how many completions are many, and the bounds of those that have more."""
_NUMBERS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
_RESTARTS = ("OnFailure", "Never")


def job(obj: Object) -> list[FieldError]:
    """A new job."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    errors = _generated(obj, spec) + _with_selector(spec)
    completions = spec.get("completions")
    if spec.get("completionMode") == "Indexed" and completions:
        host = f"{name}-{completions - 1}"
        if formats.label_name(host):
            words = f"will not able to create pod with invalid DNS label: {host}"
            errors.append(bad("metadata.name", name, words))
    return errors


def _with_selector(spec: Object) -> list[FieldError]:
    errors = job_spec(spec, "spec")
    found = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if (selector := spec.get("selector")) is None:
        errors.append(required("spec.selector"))
    elif wrong := label_selector(selector, "spec.selector"):
        errors += wrong
    elif not from_label_selector(selector).matches(found):
        errors.append(bad("spec.template.metadata.labels", found, "`selector` does not match template `labels`"))
    return errors


def _generated(obj: Object, spec: Object) -> list[FieldError]:
    """A job whose selector was made for it has the labels that go with it."""
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    uid, name = obj["metadata"].get("uid", ""), obj["metadata"].get("name", "")
    found = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    wanted = {_LEGACY_UID: uid, _LEGACY_NAME: name, _UID: uid, _NAME: name}
    errors: list[FieldError] = []
    for key, value in wanted.items():
        where = f"spec.template.metadata.labels[{key}]"
        if key not in found:
            errors.append(required(where, f"must be '{value}'"))
        elif found[key] != value:
            errors.append(bad(where, found, f"must be '{value}'"))
    if not label_selector(spec["selector"], "") and not from_label_selector(spec["selector"]).matches(wanted):
        errors.append(bad("spec.selector", spec["selector"], "`selector` not auto-generated"))
    return errors


def job_spec(spec: Object, field: str) -> list[FieldError]:
    """What holds for jobs and for the templates of CronJobs."""
    errors = not_negative(spec, field, *_NUMBERS)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errors.append(required(f"{field}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if (manager := spec.get("managedBy")) is not None:
        errors += domain_path(manager, f"{field}.managedBy")
        if len(manager) > _MANAGER_CHARACTERS:
            errors.append(too_long(f"{field}.managedBy", _MANAGER_CHARACTERS))
    errors += _mode(spec, field) + jobpolicies.policies(spec, field)
    template = spec.get("template") or {}
    errors += pod_template(template, f"{field}.template")
    policy, where = (template.get("spec") or {}).get("restartPolicy", ""), f"{field}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        errors.append(required(where, 'valid values: "OnFailure", "Never"'))
    elif policy not in _RESTARTS:
        errors.append(not_supported(where, policy, _RESTARTS))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        errors.append(bad(where, policy, 'only "Never" is supported when podFailurePolicy is specified'))
    return errors


def _mode(spec: Object, field: str) -> list[FieldError]:
    """Completions of which each has its index, or which are all alike."""
    mode = spec.get("completionMode")
    errors: list[FieldError] = []
    if mode not in (None, "NonIndexed", "Indexed"):
        errors.append(not_supported(f"{field}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed":
        return errors + _indexed(spec, field)
    if mode in (None, "NonIndexed"):
        errors += [
            bad(f"{field}.{key}", spec[key], "requires indexed completion mode")
            for key in ("backoffLimitPerIndex", "maxFailedIndexes")
            if spec.get(key) is not None
        ]
    return errors


def _indexed(spec: Object, field: str) -> list[FieldError]:
    completions, at_once, failed = (spec.get(key) for key in ("completions", "parallelism", "maxFailedIndexes"))
    errors: list[FieldError] = []

    def most(key: str, value: int | None, limit: int, words: str) -> None:
        if value is not None and value > limit:
            errors.append(bad(f"{field}.{key}", value, f"must be less than or equal to {words}"))

    if completions is None:
        errors.append(required(f"{field}.completions", "when completion mode is Indexed"))
    most("parallelism", at_once, _MOST_AT_ONCE, f"{_MOST_AT_ONCE} when completion mode is Indexed")
    if completions is not None:
        most("maxFailedIndexes", failed, completions, "completions")
    most("maxFailedIndexes", failed, _MOST_FAILED, str(_MOST_FAILED))
    if completions is not None and completions > _MANY and spec.get("backoffLimitPerIndex") is not None:
        words = f"when completions are above {_MANY} and used with backoff limit per index"
        if failed is None:
            need = f"must be specified when completions is above {_MANY}"
            errors.append(required(f"{field}.maxFailedIndexes", need))
        most("parallelism", at_once, _AT_ONCE_OF_MANY, f"{_AT_ONCE_OF_MANY} {words}")
        most("maxFailedIndexes", failed, _FAILED_OF_MANY, f"{_FAILED_OF_MANY} {words}")
    return errors


_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_DIRECTIVES = ("nodeSelector", "tolerations", "schedulingGates")


def job_update(new: Object, old: Object) -> list[FieldError]:
    """Most of a job stays. Where its pods may run can be said anew while it is suspended and never ran."""
    now, was = new.get("spec") or {}, old.get("spec") or {}
    errors = _with_selector(now) + _completions(now, was)
    errors += immutable(now.get("selector"), was.get("selector"), "spec.selector")
    template = was.get("template") or {}
    if was.get("suspend") and not (old.get("status") or {}).get("startTime"):
        template = _redirected(template, now.get("template") or {})
    if now.get("template") != template:
        shown = Shown("{}") if now.get("template") is None else now.get("template")
        errors.append(bad("spec.template", shown, IMMUTABLE))
    return errors + [error for key in _FIXED for error in immutable(now.get(key), was.get(key), f"spec.{key}")]


def _completions(now: Object, was: Object) -> list[FieldError]:
    field, wanted = "spec.completions", now.get("completions")
    if wanted == was.get("completions"):
        return []
    if now.get("completionMode") != "Indexed":
        return [bad(field, wanted, IMMUTABLE)]
    if wanted is None or wanted == now.get("parallelism"):
        return []
    return [bad(field, wanted, "can only be modified in tandem with spec.parallelism")]


def _redirected(old: Object, new: Object) -> dict[str, Any]:
    """The old template with what the new one says of where its pods may run, and of what they ask for."""
    spec, wanted = dict(old.get("spec") or {}), new.get("spec") or {}
    affinity = {key: item for key, item in (spec.get("affinity") or {}).items() if key != "nodeAffinity"}
    if "nodeAffinity" in (wanted.get("affinity") or {}):
        affinity["nodeAffinity"] = wanted["affinity"]["nodeAffinity"]
    spec["affinity"] = affinity if affinity or "affinity" in wanted else None
    for key in _DIRECTIVES:
        spec[key] = wanted.get(key)
    for kind in ("containers", "initContainers"):
        asked = {each.get("name"): each.get("resources") for each in wanted.get(kind) or ()}
        if kind in spec:
            spec[kind] = [{**each, "resources": asked.get(each.get("name"))} for each in spec[kind]]
    metadata = {**(old.get("metadata") or {})}
    for key in ("labels", "annotations"):
        metadata[key] = (new.get("metadata") or {}).get(key)
    made = {key: item for key, item in spec.items() if item is not None}
    return {**old, "metadata": {k: v for k, v in metadata.items() if v is not None}, "spec": made}


def cron_job(obj: Object, old: Object | None = None) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    before: Object = (old or {}).get("spec") or {}
    errors: list[FieldError] = []
    schedule, field = spec.get("schedule", ""), "spec.schedule"
    if not schedule:
        errors.append(required(field))
    elif problem := schedule_error(schedule):
        errors.append(bad(field, schedule, problem))
    if "TZ" in schedule:
        if "TZ" not in before.get("schedule", ""):
            words = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            errors.append(bad(field, schedule, words))
        elif spec.get("timeZone") is not None:
            errors.append(bad(field, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
    errors += not_negative(spec, "spec", "startingDeadlineSeconds")
    if old is None or spec.get("timeZone") != before.get("timeZone"):
        errors += _time_zone(spec.get("timeZone"))
    errors += choice(spec.get("concurrencyPolicy"), "spec.concurrencyPolicy", ("Allow", "Forbid", "Replace"))
    template, where = (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec"
    errors += job_spec(template, where)
    if template.get("selector") is not None:
        errors.append(bad(f"{where}.selector", template["selector"], "`selector` will be auto-generated"))
    if template.get("manualSelector"):
        errors.append(not_supported(f"{where}.manualSelector", True, ("nil", "false")))
    return errors + not_negative(spec, "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}", re.ASCII)


def _time_zone(zone: str | None) -> list[FieldError]:
    field = "spec.timeZone"
    if zone is None:
        return []
    if not zone:
        return [bad(field, zone, "timeZone must be nil or non-empty string")]
    unknown = [bad(field, zone, f"unknown time zone {zone}")]
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part):
            return unknown
    if zone.lower() == "local":
        words = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [bad(field, zone, words)]
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return unknown
    return []
