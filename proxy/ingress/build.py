"""Ingresses, Services, EndpointSlices and Secrets become a RouteTable. Pure: the objects come in through `View`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from . import openshift
from .annotations import Options, options, snippet
from .routes import Address, Backend, Canary, Complaint, HostRoutes, PathType, Route, RouteTable, UpstreamTLS
from .users import Users, read_users

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MAX_PATTERN = 512
NO_BACKEND = Backend("upstream-default-backend")

Object = Mapping[str, Any]


class View(Protocol):
    """The objects a table is built from."""

    def service(self, namespace: str, name: str) -> Object | None: ...
    def slices(self, namespace: str, service: str) -> Iterable[Object]: ...
    def has_certificate(self, namespace: str, secret: str) -> bool: ...
    def auth_secret(self, namespace: str, secret: str) -> Object | None: ...


@dataclass(frozen=True)
class Selection:
    """Which Ingresses are this controller's."""

    controller: str
    class_name: str
    without_class: bool = False


def selects(selection: Selection, ingress: Object, classes: Iterable[Object]) -> bool:
    """Whether the Ingress is for this controller: by its class, the old annotation, or as the default."""
    annotation = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    name = (ingress.get("spec") or {}).get("ingressClassName")
    if name:
        return any(found["metadata"]["name"] == name and _ours(selection, found) for found in classes)
    if annotation:
        return bool(annotation == selection.class_name)
    return selection.without_class or any(_ours(selection, found) and _is_default(found) for found in classes)


def _ours(selection: Selection, ingress_class: Object) -> bool:
    return bool((ingress_class.get("spec") or {}).get("controller") == selection.controller)


def _is_default(ingress_class: Object) -> bool:
    return bool((ingress_class["metadata"].get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true")


def services_of(ingress: Object) -> set[tuple[str, str]]:
    """The Services that an Ingress sends requests to."""
    namespace, spec = ingress["metadata"]["namespace"], ingress.get("spec") or {}
    backends = [spec.get("defaultBackend"), *(path.get("backend") for _, path in _paths(spec))]
    names = {((backend or {}).get("service") or {}).get("name") for backend in backends}
    return {(namespace, name) for name in names if name}


@dataclass
class _Host:
    routes: list[Route] = field(default_factory=list)
    default: Route | None = None


def build(ingresses: Iterable[Object], view: View, admitted: Iterable[openshift.Admission] = ()) -> RouteTable:
    """The table of these Ingresses. Where two say the same, the older one is heard (ingress-nginx' rule)."""
    building = _Building(view)
    canaries = []
    for ingress in sorted(ingresses, key=_age):
        annotations = ingress["metadata"].get("annotations") or {}
        if (refused := snippet(annotations)) is not None:
            building.reject(ingress, f"{refused} annotation cannot be used. {SNIPPETS_DISABLED}")
            continue
        opts = building.options(ingress, annotations)
        if opts.canary:
            canaries.append((ingress, opts))
        else:
            building.add(ingress, opts)
    for ingress, opts in canaries:
        building.add_canary(ingress, opts)
    for admission in admitted:
        openshift.add(building, admission)
    return building.table()


SNIPPETS_DISABLED = "Snippet directives are disabled by the Ingress administrator"


def _where(ingress: Object) -> str:
    return f"{ingress['metadata']['namespace']}/{ingress['metadata']['name']}"


def wants_auth_secrets(ingress: Object) -> bool:
    """Whether an Ingress has annotations that name a Secret."""
    return bool(options(ingress["metadata"].get("annotations") or {})[0].auth_type)


def _age(ingress: Object) -> tuple[str, str, str]:
    metadata = ingress["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["namespace"], metadata["name"]


class _Building:
    """A table half-way."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._hosts: dict[str, _Host] = {}
        self._backends: dict[tuple[str, str, str, bool], Backend] = {}
        self._passthrough: dict[str, tuple[tuple[Backend, int], ...]] = {}
        self._certificates: dict[str, str] = {}
        self._complaints: list[Complaint] = []
        self._of_routes: list[Backend] = []

    def options(self, ingress: Object, annotations: Mapping[str, str]) -> Options:
        opts, complaints = options(annotations)
        self._complaints += [Complaint(_where(ingress), complaint) for complaint in complaints]
        return opts

    def reject(self, ingress: Object, why: str) -> None:
        self._complaints.append(Complaint(_where(ingress), why, "Rejected"))

    def add(self, ingress: Object, opts: Options) -> None:
        metadata, spec = ingress["metadata"], ingress.get("spec") or {}
        namespace, where = metadata["namespace"], _where(ingress)
        users = self._users(namespace, where, opts)
        secured = self._add_certificates(namespace, where, spec)
        default = None
        if spec.get("defaultBackend"):
            backend = self._backend(namespace, spec["defaultBackend"], opts)
            default = Route("/", "Prefix", backend, where, opts, users=users)
            if not spec.get("rules"):
                self._host("").default = self._host("").default or default
        for host, path in _paths(spec):
            route = self._route(namespace, where, path, opts, host in secured)
            if route is not None:
                self._host(host).routes.append(replace(route, users=users) if users is not None else route)
        for rule in spec.get("rules") or ():
            mine = self._host(_host_of(rule))
            mine.default = mine.default or default

    def add_canary(self, ingress: Object, opts: Options) -> None:
        """Each of its paths joins the same path of an Ingress that is none; a path without one is nobody's."""
        namespace, where = ingress["metadata"]["namespace"], _where(ingress)
        for host, path in _paths(ingress.get("spec") or {}):
            canary = Canary(self._backend(namespace, path.get("backend") or {}, opts), opts, where)
            text, kind = path.get("path") or "/", path.get("pathType") or "ImplementationSpecific"
            routes = self._hosts[host].routes if host in self._hosts else []
            for index, route in enumerate(routes):
                same = route.path == text and (route.kind == kind or (route.kind == "Regex" and kind != "Exact"))
                if same and route.canary is None and route.ingress.partition("/")[0] == namespace:
                    routes[index] = replace(route, canary=canary)
                    break
            else:
                message = f"canary: no other Ingress has the path {text} of host {host or '*'}"
                self._complaints.append(Complaint(where, message))

    def _users(self, namespace: str, where: str, opts: Options) -> Users | None:
        if not opts.auth_type:
            return None
        owner, slash, name = opts.auth_secret.rpartition("/")
        try:
            if slash and owner != namespace:
                raise ValueError("a Secret of another namespace is not used")
            secret = self._view.auth_secret(namespace, name)
            if not name or secret is None:
                raise ValueError("there is no such Secret")
            return read_users(secret, opts.auth_secret_type, opts.auth_realm)
        except ValueError as error:
            self._complaints.append(Complaint(where, f"auth-secret {opts.auth_secret!r}: {error}"))
            return Users(opts.auth_realm, usable=False)

    def table(self) -> RouteTable:
        hosts = {host: HostRoutes(found.routes, found.default) for host, found in self._hosts.items()}
        backends = (*self._backends.values(), *self._of_routes)
        return RouteTable(
            passthrough=self._passthrough,
            hosts={host: routes for host, routes in hosts.items() if host and not host.startswith("*.")},
            wildcards={host[1:]: routes for host, routes in hosts.items() if host.startswith("*.")},
            anywhere=hosts.get(""),
            certificates=self._certificates,
            backends=frozenset(address for backend in backends for address in backend.endpoints),
            complaints=tuple(self._complaints),
        )

    # For OpenShift's Routes.

    def endpoints(self, namespace: str, service: str, port: object, tls: UpstreamTLS | None) -> Backend:
        """The endpoints of a Service's port, named by its own number, its target's or its name; else of its first."""
        found = self._view.service(namespace, service) or {}
        ports = (found.get("spec") or {}).get("ports") or ()
        wanted = [item for item in ports if port in (item.get("name"), item.get("targetPort"), item.get("port"))]
        chosen = (wanted if port is not None else list(ports))[:1]
        addresses = [
            address
            for item in chosen
            for address in endpoint_addresses(self._view.slices(namespace, service), item.get("name") or "")
        ]
        name = f"{namespace}-{service}-{chosen[0].get('name') or chosen[0].get('port') if chosen else port}"
        backend = Backend(name, tuple(addresses), tls=tls)
        self._of_routes.append(backend)
        return backend

    def join(self, host: str, route: Route) -> None:
        self._host(host).routes.append(route)

    def join_passthrough(self, host: str, split: Sequence[tuple[Backend, int]]) -> None:
        self._passthrough[host] = tuple(split)

    def join_certificate(self, host: str, secret: str) -> None:
        self._certificates.setdefault(host, secret)

    def _host(self, host: str) -> _Host:
        return self._hosts.setdefault(host, _Host())

    def _add_certificates(self, namespace: str, where: str, spec: Object) -> set[str]:
        """The hosts under `tls` whose certificate is there; the others are served with the fake one."""
        secured: set[str] = set()
        for tls in spec.get("tls") or ():
            secret = tls.get("secretName")
            hosts = [host.lower() for host in tls.get("hosts") or ()]
            secured.update(hosts)
            if not secret:
                continue
            if not self._view.has_certificate(namespace, secret):
                self._complaints.append(Complaint(where, f"no certificate in Secret {namespace}/{secret}"))
                continue
            for host in hosts or [_host_of(rule) for rule in spec.get("rules") or ()]:
                self._certificates.setdefault(host, f"{namespace}/{secret}")
        return secured

    def _route(self, namespace: str, where: str, path: Object, opts: Options, tls: bool) -> Route | None:
        text = path.get("path") or "/"
        kind: PathType = path.get("pathType") or "ImplementationSpecific"
        pattern = None
        if opts.use_regex and kind != "Exact":
            try:
                if len(text) > MAX_PATTERN:
                    raise re.error("too long")
                pattern = re.compile(text if text.startswith("^") else "^" + text, re.IGNORECASE | re.DOTALL)
            except (re.error, OverflowError, RecursionError) as error:
                self._complaints.append(Complaint(where, f"path {text!r} is no regular expression: {error}"))
                return None
            kind = "Regex"
        backend = self._backend(namespace, path.get("backend") or {}, opts)
        return Route(text, kind, backend, where, opts, tls, pattern)

    def _backend(self, namespace: str, backend: Object, opts: Options) -> Backend:
        service = backend.get("service")
        if not service:
            return NO_BACKEND  # a resource backend: nothing here serves those
        port = service.get("port") or {}
        text = str(port.get("name") or port.get("number") or "")
        key = (namespace, service["name"], text, opts.service_upstream)
        if key not in self._backends:
            found = self._view.service(namespace, service["name"])
            addresses = () if found is None else self._addresses(namespace, found, port, opts.service_upstream)
            self._backends[key] = Backend(
                f"{namespace}-{service['name']}-{text}", tuple(addresses), opts.service_upstream
            )
        return self._backends[key]

    def _addresses(self, namespace: str, service: Object, wanted: Object, through_service: bool) -> Sequence[Address]:
        spec = service.get("spec") or {}
        port = service_port(spec.get("ports") or (), wanted)
        if spec.get("type") == "ExternalName":
            number = (port or {}).get("port") or wanted.get("number")
            return [(spec["externalName"], number)] if number and spec.get("externalName") else []
        if port is None:
            return []
        cluster_ip = spec.get("clusterIP")
        if through_service and cluster_ip and cluster_ip != "None":
            return [(cluster_ip, port["port"])]
        return endpoint_addresses(self._view.slices(namespace, service["metadata"]["name"]), port.get("name") or "")


def service_port(ports: Iterable[Object], wanted: Object) -> Object | None:
    """The Service's port by name or number."""
    for port in ports:
        if wanted.get("name") and port.get("name") == wanted["name"]:
            return port
        if not wanted.get("name") and port.get("port") == wanted.get("number"):
            return port
    return None


def endpoint_addresses(slices: Iterable[Object], port_name: str) -> list[Address]:
    """The ready endpoints' addresses for a port, each once, in a stable order."""
    found: set[Address] = set()
    for endpoint_slice in slices:
        if endpoint_slice.get("addressType") == "FQDN":
            continue
        numbers = [
            port["port"]
            for port in endpoint_slice.get("ports") or ()
            if (port.get("name") or "") == port_name and port.get("port") and port.get("protocol", "TCP") == "TCP"
        ]
        for endpoint in endpoint_slice.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            found.update((address, number) for address in endpoint.get("addresses") or () for number in numbers)
    return sorted(found)


def _host_of(rule: Object) -> str:
    return str(rule.get("host") or "").lower()


def _paths(spec: Object) -> Iterable[tuple[str, Object]]:
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield _host_of(rule), path
