"""What the cells of several kinds have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import ages

Object = dict[str, Any]
Row = Callable[[Object, float], list[Any]]

NONE = "<none>"


def name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def age(obj: Object, now: float) -> str:
    return ages.of(obj, now)


def labels(selector: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, sorted, or <none>."""
    return ",".join(f"{key}={value}" for key, value in sorted((selector or {}).items())) or NONE


def selector(label_selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector in kubectl's syntax."""
    chosen = label_selector or {}
    parts = [f"{key}={value}" for key, value in sorted((chosen.get("matchLabels") or {}).items())]
    for expression in chosen.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        match expression["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts) or NONE


def containers(template: Mapping[str, Any]) -> tuple[str, str]:
    """The names and the images of a pod template's containers."""
    found = (template.get("spec") or {}).get("containers") or ()
    return ",".join(each["name"] for each in found), ",".join(each.get("image", "") for each in found)


def few(items: Iterable[str], most: int = 3) -> str:
    """The first few items and how many more there are: `a,b,c + 2 more...`."""
    every = list(items)
    text = ",".join(every[:most])
    return f"{text} + {len(every) - most} more..." if len(every) > most else text


def truth(value: Any) -> str:
    """A boolean as Go's strconv prints it in these tables."""
    return "True" if value else "False"
