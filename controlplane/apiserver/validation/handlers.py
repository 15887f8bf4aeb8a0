"""Checks of probes and lifecycle hooks, and of the handlers that they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, forbidden, not_supported, required
from .checks import Object, not_negative

_PROBED = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKED = ("exec", "httpGet", "tcpSocket", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def hooks(container: Object, grace: int | None, where: str) -> list[FieldError]:
    """A container's lifecycle and its probes; `grace` is how long its pod may take to end."""
    errors: list[FieldError] = []
    lifecycle = container.get("lifecycle") or {}
    for key in ("postStart", "preStop"):
        if (handler := lifecycle.get(key)) is not None:
            errors += _handler(handler, grace, f"{where}.lifecycle.{key}", _HOOKED)
    for key in PROBES:
        if (probe := container.get(key)) is not None:
            errors += _probe(key, probe, f"{where}.{key}")
    return errors


def _probe(kind: str, probe: Object, where: str) -> list[FieldError]:
    errors = _handler(probe, None, where, _PROBED) + not_negative(probe, where, *_NUMBERS)
    grace, success = probe.get("terminationGracePeriodSeconds"), probe.get("successThreshold", 1)
    if grace is not None and grace <= 0:
        errors.append(bad(f"{where}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if kind == "readinessProbe":
        if grace is not None:
            words = "must not be set for readinessProbes"
            errors.append(bad(f"{where}.terminationGracePeriodSeconds", grace, words))
    elif success != 1:
        errors.append(bad(f"{where}.successThreshold", success, "must be 1"))
    return errors


def _handler(handler: Object, grace: int | None, where: str, kinds: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    given = [key for key in kinds if handler.get(key) is not None]
    if not given:
        return [required(where, "must specify a handler type")]
    key, action = given[0], handler[given[0]]
    at = f"{where}.{key}"
    if key == "exec" and not action.get("command"):
        errors.append(required(f"{at}.command"))
    elif key == "httpGet":
        errors += _http_get(action, at)
    elif key in ("tcpSocket", "grpc"):
        errors += port(action.get("port"), f"{at}.port")
    elif key == "sleep" and grace is not None and not 0 <= action.get("seconds", 0) <= grace:
        words = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        errors.append(bad(at, action.get("seconds", 0), words))
    return errors + [forbidden(f"{where}.{more}", "may not specify more than 1 handler type") for more in given[1:]]


def _http_get(action: Object, where: str) -> list[FieldError]:
    errors: list[FieldError] = [] if action.get("path") else [required(f"{where}.path")]
    errors += port(action.get("port"), f"{where}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        errors.append(not_supported(f"{where}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        name = header.get("name", "")
        errors += [bad(f"{where}.httpHeaders", name, complaint) for complaint in formats.header_name(name)]
    return errors


def port(value: Any, field: str) -> list[FieldError]:
    """A port's number or name."""
    if isinstance(value, str):
        return [bad(field, value, complaint) for complaint in formats.port_name(value)]
    return [bad(field, value or 0, complaint) for complaint in formats.port_number(value or 0)]
