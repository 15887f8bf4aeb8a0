"""Checks of metav1.LabelSelector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, required
from . import meta


def label_selector(selector: Mapping[str, Any] | None, field: str) -> list[FieldError]:
    if selector is None:
        return []
    errors = meta.labels(selector.get("matchLabels"), f"{field}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{field}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values") or ()
        if operator in ("In", "NotIn"):
            if not values:
                words = "must be specified when `operator` is 'In' or 'NotIn'"
                errors.append(required(f"{where}.values", words))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                words = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden(f"{where}.values", words))
        else:
            errors.append(bad(f"{where}.operator", operator, "not a valid selector operator"))
        key = expression.get("key", "")
        errors += [bad(f"{where}.key", key, complaint) for complaint in formats.qualified_name(key)]
        for position, value in enumerate(values):
            errors += [bad(f"{where}.values[{position}]", value, text) for text in formats.label_value(value)]
    return errors


def is_empty(selector: Mapping[str, Any]) -> bool:
    return not selector.get("matchLabels") and not selector.get("matchExpressions")
