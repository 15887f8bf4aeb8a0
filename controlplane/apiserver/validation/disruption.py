"""Checks of PodDisruptionBudgets."""

from __future__ import annotations

from ..fielderrors import FieldError, Shown, bad, show
from .checks import Object, optional_choice
from .labelselectors import label_selector
from .workloads import at_most_all, int_or_percent


def disruption_budget(obj: Object) -> list[FieldError]:
    spec: Object = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    policy = spec.get("unhealthyPodEvictionPolicy")
    errors: list[FieldError] = []
    if least is not None and most is not None:
        text = (
            f'{{"MinAvailable":{show(least)},"Selector":{show(spec.get("selector"))},"MaxUnavailable":{show(most)},'
            f'"UnhealthyPodEvictionPolicy":{show(policy)}}}'
        )
        errors.append(bad("spec", Shown(text), "minAvailable and maxUnavailable cannot be both set"))
    for key, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            errors += int_or_percent(value, f"spec.{key}") + at_most_all(value, f"spec.{key}")
    errors += label_selector(spec.get("selector"), "spec.selector")
    return errors + optional_choice(policy, "spec.unhealthyPodEvictionPolicy", ("AlwaysAllow", "IfHealthyBudget"))
