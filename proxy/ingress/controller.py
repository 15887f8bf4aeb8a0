"""The controller's side of the ingress: informers to RouteTable, and the address of the balancer into each status."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from panal.client import Client, Unreachable
from panal.controllers import Controller
from panal.customkinds import ROUTES, CustomKinds
from panal.errors import NotFound, StatusError
from panal.events import Recorder
from panal.informer import Applied, Delta, Informer, key_of
from panal.resources import ENDPOINTSLICES, INGRESSCLASSES, INGRESSES, SECRETS, SERVICES
from panal.workqueue import WorkQueue

from . import openshift
from .build import SERVICE_NAME_LABEL, Selection, build, selects, services_of, wants_auth_secrets
from .routes import Complaint, RouteTable
from .tls import BadCertificate, key_pair

Object = dict[str, Any]
Key = tuple[str, str]

PATIENCE = 1.0
"""Seconds that the first table with TLS waits for the Secrets."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publish:
    """What is written to each Ingress' status: fixed addresses, or those of a Service."""

    addresses: Sequence[str] = ()
    service: Key | None = None

    def __bool__(self) -> bool:
        return bool(self.addresses) or self.service is not None


@dataclass
class Watched:
    """The objects as the watches have them; the `View` that tables are built from."""

    services: Informer
    endpoint_slices: Informer
    secrets: Informer
    auth_secrets: Informer
    slices_of: dict[Key, dict[Key, Object]] = field(default_factory=dict)

    def service(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self.services.get(namespace, name)

    def slices(self, namespace: str, service: str) -> Iterable[Mapping[str, Any]]:
        return self.slices_of.get((namespace, service), {}).values()

    def has_certificate(self, namespace: str, secret: str) -> bool:
        found = self.secrets.get(namespace, secret)
        try:
            return found is not None and bool(key_pair(found))
        except BadCertificate:
            return False

    def auth_secret(self, namespace: str, secret: str) -> Mapping[str, Any] | None:
        return self.auth_secrets.get(namespace, secret)

    def slice_changed(self, delta: Delta) -> set[Key]:
        """Take in a change; returns the Services it is about."""
        touched: set[Key] = set()
        for obj, present in ((delta.old, False), (delta.new if isinstance(delta, Applied) else None, True)):
            if obj is None:
                continue
            owner = (obj["metadata"].get("labels") or {}).get(SERVICE_NAME_LABEL)
            if not owner:
                continue
            service = (obj["metadata"]["namespace"], owner)
            touched.add(service)
            siblings = self.slices_of.setdefault(service, {})
            if present:
                siblings[key_of(obj)] = obj
            else:
                siblings.pop(key_of(obj), None)
            if not siblings:
                del self.slices_of[service]
        return touched


def _slim(obj: Object) -> Object:
    """The object without managedFields, which nobody here reads and which are half of it."""
    obj["metadata"].pop("managedFields", None)
    return obj


async def _watch_when(wanted: asyncio.Event, informer: Informer) -> None:
    await wanted.wait()
    await informer.run()


class IngressController:
    """Watches, builds, and hands each new table to `apply`."""

    def __init__(
        self,
        client: Client,
        selection: Selection,
        publish: Publish,
        apply: Callable[[RouteTable], None],
        host: str,
        route_domain: str = "",
    ) -> None:
        self._client = client
        self._selection = selection
        self._publish = publish
        self._apply = apply
        self._ingresses = Informer(client, INGRESSES, transform=_slim)
        self._classes = Informer(client, INGRESSCLASSES, transform=_slim)
        self.view = Watched(
            Informer(client, SERVICES, transform=_slim),
            Informer(client, ENDPOINTSLICES, transform=_slim),
            Informer(client, SECRETS, field_selector="type=kubernetes.io/tls", transform=_slim),
            Informer(client, SECRETS, field_selector="type=Opaque", transform=_slim),
        )
        self._events = Recorder(client, "panal-ingress-controller", host)
        self._routes = Informer(client, ROUTES, transform=_slim)
        self._route_domain = route_domain
        self._kinds = CustomKinds(client, (self._routes,)) if route_domain else None
        """OpenShift's Routes are served where they have a domain for hosts of their own."""
        self._admissions: list[openshift.Admission] = []
        self._wanted: set[Key] = set()
        """The Services that our Ingresses name: changes of others are nobody's business."""
        self._dirty = asyncio.Event()
        self._secrets_wanted = asyncio.Event()
        self._auth_wanted = asyncio.Event()
        self._complaints: dict[str, frozenset[Complaint]] = {}
        self._statuses: WorkQueue[Key] = WorkQueue()
        self.synced = asyncio.Event()

    async def run(self) -> None:
        self._ingresses.subscribe(self._ingress_changed)
        self._classes.subscribe(lambda _: self._everything_changed())
        self.view.services.subscribe(self._service_changed)
        self.view.endpoint_slices.subscribe(self._slice_changed)
        self._routes.subscribe(lambda _: self._dirty.set())
        for secrets in (self.view.secrets, self.view.auth_secrets):
            secrets.subscribe(lambda _: self._dirty.set())
        first = (self._ingresses, self._classes, self.view.services, self.view.endpoint_slices)
        try:
            await self._watch(first)
        finally:
            await self._events.close()

    async def _watch(self, first: Sequence[Informer]) -> None:
        async with asyncio.TaskGroup() as group:
            for informer in first:
                group.create_task(informer.run(), name=f"watch {informer.resource.plural}")
            for wanted, secrets in self._secret_watches():
                group.create_task(_watch_when(wanted, secrets), name="watch secrets")
            if self._kinds is not None:
                group.create_task(self._kinds.run(), name="watch custom kinds")
            for informer in first:
                await informer.synced()
            if self._kinds is not None:
                await self._kinds.settled()
            group.create_task(self._follow(), name="build tables")
            if self._publish:
                publisher = Controller("ingress status", self._publish_status, queue=self._statuses, workers=2)
                group.create_task(publisher.run(), name="publish statuses")

    def secret(self, name: str) -> Object | None:
        """A TLS Secret by NAMESPACE/NAME, or what a Route holds."""
        if name.startswith(openshift.SECRET):
            route = self._routes.get(*name.removeprefix(openshift.SECRET).split("/", 1))
            return dict(openshift.certificate_of(route)) if route is not None else None
        namespace, _, secret = name.partition("/")
        return self.view.secrets.get(namespace, secret)

    def _mine(self) -> list[Object]:
        classes = list(self._classes.all())
        return [ingress for ingress in self._ingresses.all() if selects(self._selection, ingress, classes)]

    def _secret_watches(self) -> Sequence[tuple[asyncio.Event, Informer]]:
        """Only once an Ingress asks for TLS, or for passwords: without one, no Secret is ever read."""
        return ((self._secrets_wanted, self.view.secrets), (self._auth_wanted, self.view.auth_secrets))

    async def _follow(self) -> None:
        while True:
            self._dirty.clear()
            ingresses = self._mine()
            if any((ingress.get("spec") or {}).get("tls") for ingress in ingresses):
                await self._have(self._secrets_wanted, self.view.secrets)
            if any(wants_auth_secrets(ingress) for ingress in ingresses):
                await self._have(self._auth_wanted, self.view.auth_secrets)
            self._admissions = openshift.admit(self._routes.all(), self._route_domain) if self._route_domain else []
            admitted = [admission for admission in self._admissions if not admission.reason]
            self._wanted = {service for ingress in ingresses for service in services_of(ingress)}
            self._wanted.update(service for found in admitted for service in openshift.services_of_route(found.route))
            table = build(ingresses, self.view, admitted)
            self._apply(table)
            self.complain(table.complaints)
            self.synced.set()
            await self._say_admitted()
            await self._dirty.wait()

    async def _say_admitted(self) -> None:
        """The status of Routes. One that can't be written is written with the next change."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for admission in self._admissions:
            status = openshift.status(admission, f"router-{openshift.ROUTER}.{self._route_domain}", now)
            if status is None:
                continue
            metadata = admission.route["metadata"]
            try:
                await self._client.patch(
                    ROUTES, metadata["name"], {"status": status}, metadata["namespace"], subresource="status"
                )
            except (StatusError, Unreachable) as error:
                _log.warning("status of Route %s/%s: %s", metadata["namespace"], metadata["name"], error)

    async def _have(self, wanted: asyncio.Event, secrets: Informer) -> None:
        """Secrets are read from now on; the first table that needs them waits for them, but not for ever."""
        if not wanted.is_set():
            wanted.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(secrets.synced(), PATIENCE)

    def complain(self, complaints: Iterable[Complaint], source: str = "table") -> None:
        """Each once, in the log and as an event of the Ingress; `complaints` are all that `source` has now."""
        before, now = self._complaints.get(source, frozenset()), frozenset(complaints)
        self._complaints[source] = now
        for complaint in sorted(now - before, key=str):
            _log.warning("%s", complaint)
            namespace, _, name = complaint.ingress.partition("/")
            if (ingress := self._ingresses.get(namespace, name)) is not None:
                self._events.event(ingress, "Warning", complaint.reason, complaint.message)

    # Changes.

    def _ingress_changed(self, delta: Delta) -> None:
        self._dirty.set()
        if isinstance(delta, Applied):
            self._statuses.add(key_of(delta.new))
            changed = delta.old is None or delta.old.get("spec") != delta.new.get("spec")
            if changed and selects(self._selection, delta.new, list(self._classes.all())):
                self._events.event(delta.new, "Normal", "Sync", "Scheduled for sync")

    def _everything_changed(self) -> None:
        self._dirty.set()
        for key in self._ingresses.keys():
            self._statuses.add(key)

    def _service_changed(self, delta: Delta) -> None:
        key = key_of(delta.new if isinstance(delta, Applied) else delta.old)
        if key in self._wanted or not self.synced.is_set():
            self._dirty.set()
        if key == self._publish.service:
            self._everything_changed()

    def _slice_changed(self, delta: Delta) -> None:
        if self.view.slice_changed(delta) & self._wanted:
            self._dirty.set()

    # Statuses.

    async def _publish_status(self, key: Key) -> float | None:
        ingress = self._ingresses.get(*key)
        if ingress is None or not selects(self._selection, ingress, list(self._classes.all())):
            return None
        wanted = [{"ip": address} for address in self._addresses()]
        said = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if not wanted or [{"ip": entry.get("ip")} for entry in said] == wanted:
            return None
        status = {"status": {"loadBalancer": {"ingress": wanted}}}
        with contextlib.suppress(NotFound):
            await self._client.patch(INGRESSES, key[1], status, key[0], kind="merge", subresource="status")
        return None

    def _addresses(self) -> Sequence[str]:
        if self._publish.service is None:
            return self._publish.addresses
        service = self.view.services.get(*self._publish.service)
        if service is None:
            return ()
        balancer = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        found = [entry["ip"] for entry in balancer if entry.get("ip")] or list(service["spec"].get("externalIPs") or ())
        cluster_ip = service["spec"].get("clusterIP")
        return found or ([cluster_ip] if cluster_ip and cluster_ip != "None" else [])
