"""Checks of what extends the API from outside: API services."""

from __future__ import annotations

from panal import formats

from ..fielderrors import FieldError, bad, required
from .checks import Object

_GROUP_PRIORITY, _VERSION_PRIORITY = 20_000, 1000


def api_service(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    group, version, service = spec.get("group", ""), spec.get("version", ""), spec.get("service")
    errors: list[FieldError] = []
    if not group and version != "v1":
        words = "only v1 may have an empty group and it better be legacy kube"
        errors.append(required("spec.group", words))
    if group:
        errors += [bad("spec.group", group, text) for text in formats.subdomain_name(group)]
    errors += [bad("spec.version", version, text) for text in formats.label_name_1035(version)]
    for key, most in (("groupPriorityMinimum", _GROUP_PRIORITY), ("versionPriority", _VERSION_PRIORITY)):
        if not 0 < spec.get(key, 0) <= most:
            errors.append(bad(f"spec.{key}", spec.get(key, 0), f"must be positive and less than {most}"))
    return errors + _served(spec, service)


def _served(spec: Object, service: Object | None) -> list[FieldError]:
    """Who serves it, and how that is trusted. Without a service the API server itself does."""
    bundle, unchecked = spec.get("caBundle") or "", spec.get("insecureSkipTLSVerify")
    field = "spec.insecureSkipTLSVerify"
    errors: list[FieldError] = []
    if service is None:
        if bundle:
            shown = f"{len(bundle) * 3 // 4 - bundle.count('=', -2)} bytes"
            errors.append(bad("spec.caBundle", shown, "local APIServices may not have a caBundle"))
        if unchecked:
            errors.append(bad(field, True, "local APIServices may not have insecureSkipTLSVerify"))
        return errors
    errors += [required(f"spec.service.{key}") for key in ("namespace", "name") if not service.get(key)]
    port = service.get("port", 443)
    if wrong := formats.port_number(port):
        errors.append(bad("spec.service.port", port, f"port is not valid: {', '.join(wrong)}"))
    if unchecked and bundle:
        errors.append(bad(field, True, "may not be true if caBundle is present"))
    return errors


def api_service_name(name: str, spec: Object) -> list[str]:
    from .meta import path_segment_name

    wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
    return path_segment_name(name) or ([] if name == wanted else [f'must be `spec.version+"."+spec.group`: "{wanted}"'])
