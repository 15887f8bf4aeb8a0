"""Checks of resource.k8s.io: claims for devices, classes of devices, and what nodes offer. CEL selectors are read."""

from __future__ import annotations

from typing import Any

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, not_supported, required, too_many
from .checks import NOT_NEGATIVE, Object, formatted, items, name
from .meta import immutable
from .storage import driver_name
from .webhooks import expression

_REQUESTS = _CONSTRAINTS = _CONFIGS = _SELECTORS = 32
_DEVICES = 128
_MODES = ("All", "ExactCount")


def claim(obj: Object) -> list[FieldError]:
    return _spec(obj.get("spec") or {}, "spec")


def template(obj: Object) -> list[FieldError]:
    return _spec((obj.get("spec") or {}).get("spec") or {}, "spec.spec")


def claim_update(new: Object, old: Object) -> list[FieldError]:
    return immutable(new.get("spec"), old.get("spec"), "spec")


template_update = claim_update


def _spec(spec: Object, field: str) -> list[FieldError]:
    devices, where = spec.get("devices") or {}, f"{field}.devices"
    errors: list[FieldError] = []
    names: set[str] = set()
    for key, limit in (("requests", _REQUESTS), ("constraints", _CONSTRAINTS), ("config", _CONFIGS)):
        if len(devices.get(key) or ()) > limit:
            errors.append(too_many(f"{where}.{key}", len(devices[key]), limit))
    for request, at in items(devices.get("requests"), f"{where}.requests"):
        called = request.get("name", "")
        errors += name(called, f"{at}.name", formats.label_name)
        if called and called in names:
            errors.append(duplicate(f"{at}.name", called))
        names.add(called)
        errors += _request(request, at)
    for key in ("constraints", "config"):
        for each, at in items(devices.get(key), f"{where}.{key}"):
            for wanted, here in items(each.get("requests"), f"{at}.requests"):
                if wanted.partition("/")[0] not in names:
                    words = "must be the name of a request in the claim or the name of a request and a subrequest"
                    errors.append(bad(here, wanted, f"{words} separated by '/'"))
    return errors


def _request(request: Object, where: str) -> list[FieldError]:
    exactly, first = request.get("exactly"), request.get("firstAvailable") or ()
    if exactly is None and not first:
        return [required(where, "exactly one of `exactly` or `firstAvailable` is required")]
    if exactly is not None and first:
        return [bad(where, dict(request), "exactly one of `exactly` or `firstAvailable` is required")]
    found = [(exactly, f"{where}.exactly")] if exactly is not None else list(items(first, f"{where}.firstAvailable"))
    errors: list[FieldError] = []
    for each, at in found:
        errors += name(each.get("deviceClassName"), f"{at}.deviceClassName", formats.subdomain_name)
        errors += _selectors(each.get("selectors") or (), f"{at}.selectors")
        mode, count = each.get("allocationMode", ""), each.get("count", 0)
        if mode == "ExactCount" and count <= 0:
            errors.append(bad(f"{at}.count", count, "must be greater than zero"))
        elif mode == "All" and count:
            words = "must not be specified when allocationMode is 'All'"
            errors.append(bad(f"{at}.count", count, words))
        elif mode and mode not in _MODES:
            errors.append(not_supported(f"{at}.allocationMode", mode, _MODES))
    return errors


def _selectors(found: Any, field: str) -> list[FieldError]:
    errors = [too_many(field, len(found), _SELECTORS)] if len(found) > _SELECTORS else []
    for each, where in items(found, field):
        if each.get("cel") is None:
            errors.append(required(f"{where}.cel"))
        else:
            errors += expression(each["cel"].get("expression"), f"{where}.cel.expression", "")
    return errors


def device_class(obj: Object) -> list[FieldError]:
    return _selectors((obj.get("spec") or {}).get("selectors") or (), "spec.selectors")


def resource_slice(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    pool, devices = spec.get("pool") or {}, spec.get("devices") or ()
    errors = driver_name(spec.get("driver", ""), "spec.driver")
    called = pool.get("name", "")
    if not called:
        errors.append(required("spec.pool.name"))
    for part in called.split("/") if called else ():
        errors += formatted(part, "spec.pool.name", formats.subdomain_name)
    count = pool.get("resourceSliceCount", 0)
    if count <= 0:
        errors.append(bad("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if pool.get("generation", 0) < 0:
        errors.append(bad("spec.pool.generation", pool["generation"], NOT_NEGATIVE))
    errors += _nodes(spec)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        errors.append(bad("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    if len(devices) > _DEVICES:
        errors.append(too_many("spec.devices", len(devices), _DEVICES))
    names: set[str] = set()
    for device, where in items(devices, "spec.devices"):
        errors += name(device.get("name"), f"{where}.name", formats.label_name)
        if device.get("name") in names:
            errors.append(duplicate(f"{where}.name", device["name"]))
        names.add(device.get("name", ""))
    return errors


def _nodes(spec: Object) -> list[FieldError]:
    """Which nodes have the devices: said in one way."""
    errors: list[FieldError] = []
    if spec.get("nodeName"):
        errors += formatted(spec["nodeName"], "spec.nodeName", formats.subdomain_name)
    elif spec.get("nodeName") is not None:
        errors.append(bad("spec.nodeName", "", "must be either unset or set to a non-empty string"))
    for key in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(key) is False:
            errors.append(bad(f"spec.{key}", False, "must be either unset or set to true"))
    given = [f"`{key}`" for key in _NODES if spec.get(key)]
    words = f"exactly one of {', '.join(f'`{key}`' for key in _NODES)} is required"
    if not given:
        errors.append(required("spec", words))
    elif len(given) > 1:
        errors.append(bad("spec", f"{{{', '.join(given)}}}", f"{words}, but multiple fields are set"))
    return errors


_NODES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")


def resource_slice_update(new: Object, old: Object) -> list[FieldError]:
    now, was = new.get("spec") or {}, old.get("spec") or {}
    errors = immutable(now.get("driver", ""), was.get("driver", ""), "spec.driver")
    errors += immutable((now.get("pool") or {}).get("name"), (was.get("pool") or {}).get("name"), "spec.pool.name")
    return errors + immutable(now.get("nodeName"), was.get("nodeName"), "spec.nodeName")
