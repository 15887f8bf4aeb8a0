"""OpenShift's Routes: which are admitted, and what they mean to the table. Pure.

The oldest Route of a host and path has it, and a host belongs to the namespace of its oldest Route.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .annotations import DEFAULT, Options
from .routes import Backend, Route, UpstreamTLS

Object = Mapping[str, Any]
ROUTER = "default"
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SECRET = "route:"
"""Before NAMESPACE/NAME: the certificate that a Route itself holds."""


@dataclass(frozen=True)
class Admission:
    """A Route and what became of it."""

    route: Object
    host: str
    reason: str = ""
    """Empty: it is admitted."""
    message: str = ""


def admit(routes: Iterable[Object], domain: str) -> list[Admission]:
    """Each Route, the oldest first. A Route without a host gets NAME-NAMESPACE.`domain`."""
    owners: dict[str, Object] = {}
    paths: dict[tuple[str, str], Object] = {}
    found = []
    for route in sorted(routes, key=_age):
        metadata, spec = route["metadata"], route.get("spec") or {}
        host = (spec.get("host") or "").lower()
        if not host:
            prefix = spec.get("subdomain") or f"{metadata['name']}-{metadata['namespace']}"
            host = f"{prefix}.{domain}".lower()
        path = spec.get("path") or ""
        owner, holder = owners.get(host), paths.get((host, path))
        if (wrong := _wrong(host, path)) is not None:
            found.append(Admission(route, host, "ExtendedValidationFailed", wrong))
        elif spec.get("wildcardPolicy") == "Subdomain":
            found.append(Admission(route, host, "RouteNotAdmitted", "wildcard routes are not allowed"))
        elif owner is not None and owner["metadata"]["namespace"] != metadata["namespace"]:
            message = f"a route in another namespace holds {host} and is older than {metadata['name']}"
            found.append(Admission(route, host, "HostAlreadyClaimed", message))
        elif holder is not None:
            message = f"route {holder['metadata']['name']} already exposes {host} and is older"
            found.append(Admission(route, host, "HostAlreadyClaimed", message))
        elif (spec.get("tls") or {}).get("termination") == "passthrough" and path:
            message = "spec.path: Invalid value: passthrough termination does not support paths"
            found.append(Admission(route, host, "ExtendedValidationFailed", message))
        else:
            owners.setdefault(host, route)
            paths[host, path] = route
            found.append(Admission(route, host))
    return found


def _wrong(host: str, path: str) -> str | None:
    if len(host) > 253 or not _HOST.fullmatch(host):
        return f'spec.host: Invalid value: "{host}": host must conform to DNS naming conventions'
    return f'spec.path: Invalid value: "{path}": path must begin with /' if path and path[0] != "/" else None


def _age(route: Object) -> tuple[str, str, str]:
    metadata = route["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"]


def services_of_route(route: Object) -> set[tuple[str, str]]:
    namespace = route["metadata"]["namespace"]
    return {(namespace, target["name"]) for target in _targets(route) if target.get("name")}


def _targets(route: Object) -> list[Object]:
    spec = route.get("spec") or {}
    return [target for target in (spec.get("to"), *(spec.get("alternateBackends") or ())) if target]


class Joining(Protocol):
    """The table that is being made."""

    def endpoints(self, namespace: str, service: str, port: object, tls: UpstreamTLS | None) -> Backend: ...
    def join(self, host: str, route: Route) -> None: ...
    def join_passthrough(self, host: str, split: Sequence[tuple[Backend, int]]) -> None: ...
    def join_certificate(self, host: str, secret: str) -> None: ...


def add(building: Joining, admission: Admission) -> None:
    """An admitted Route's part of the table."""
    route, host = admission.route, admission.host
    metadata, spec = route["metadata"], route.get("spec") or {}
    tls = spec.get("tls") or {}
    termination = tls.get("termination") or ""
    where = f"{metadata['namespace']}/{metadata['name']}"
    split = [
        (
            building.endpoints(
                metadata["namespace"],
                target["name"],
                (spec.get("port") or {}).get("targetPort"),
                _upstream_tls(metadata["namespace"], target["name"], tls) if termination == "reencrypt" else None,
            ),
            int(target.get("weight", 100) if target.get("weight") is not None else 100),
        )
        for target in _targets(route)
    ]
    split = [(backend, weight) for backend, weight in split if weight > 0]
    if termination == "passthrough":
        building.join_passthrough(host, split)
        return
    if termination and tls.get("certificate") and tls.get("key"):
        building.join_certificate(host, SECRET + where)
    backend = split[0][0] if split else Backend(f"{metadata['namespace']}-{metadata['name']}")
    options = _options(termination, tls.get("insecureEdgeTerminationPolicy") or "None")
    made = Route(spec.get("path") or "/", "Prefix", backend, where, options)
    building.join(host, replace(made, split=tuple(split)) if len(split) > 1 else made)


def _options(termination: str, insecure: str) -> Options:
    if not termination:
        return replace(DEFAULT, only_scheme="http")
    if insecure == "Redirect":
        return replace(DEFAULT, force_ssl_redirect=True, ssl_redirect_code=302)
    return DEFAULT if insecure == "Allow" else replace(DEFAULT, only_scheme="https")


def _upstream_tls(namespace: str, service: str, tls: Object) -> UpstreamTLS:
    return UpstreamTLS(str(tls.get("destinationCACertificate") or ""), f"{service}.{namespace}.svc")


def certificate_of(route: Object) -> Object:
    """What a Route holds, in the form of a TLS Secret."""
    tls = (route.get("spec") or {}).get("tls") or {}
    chain = "\n".join(str(tls[name]).strip() for name in ("certificate", "caCertificate") if tls.get(name))
    texts = {"tls.crt": chain + "\n", "tls.key": str(tls.get("key") or "")}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    return {"metadata": {"resourceVersion": route["metadata"].get("resourceVersion")}, "data": data}


def status(admission: Admission, canonical: str, now: str) -> Object | None:
    """The Route's status as this router sees it; None where it says so already. Other routers' parts stay."""
    said = list((admission.route.get("status") or {}).get("ingress") or ())
    mine = next((item for item in said if item.get("routerName") == ROUTER), None)
    condition: dict[str, Any] = {"type": "Admitted", "status": "False" if admission.reason else "True"}
    if admission.reason:
        condition |= {"reason": admission.reason, "message": admission.message}
    wanted = {
        "host": admission.host,
        "routerName": ROUTER,
        "conditions": [condition],
        "wildcardPolicy": (admission.route.get("spec") or {}).get("wildcardPolicy") or "None",
        **({"routerCanonicalHostname": canonical} if canonical else {}),
    }
    if mine is not None and _timeless(mine) == _timeless(wanted):
        return None
    condition["lastTransitionTime"] = now
    return {"ingress": [*(item for item in said if item.get("routerName") != ROUTER), wanted]}


def _timeless(part: Object) -> Object:
    conditions = [
        {key: value for key, value in item.items() if key != "lastTransitionTime"}
        for item in part.get("conditions") or ()
    ]
    return {**part, "conditions": conditions}
