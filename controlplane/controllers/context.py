"""What the controllers of one process share: the client, one informer a resource, indexes over them, the clock.

An informer is made the first time a controller asks for it (while controllers are being constructed) and started by
`Informers.run`. Objects from it lack `managedFields`: nobody here reads them, and they are half of an object.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from panal.client import Client
from panal.events import Recorder
from panal.informer import Applied, Deleted, Delta, Informer, all_synced
from panal.resources import Resource

from .meta import Key, Object, controller_of, key, namespace, spec, uid
from .nodelifecycle.zones import Limits


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    root_ca: str = ""
    """The cluster's CA, PEM; empty publishes none."""
    node_grace: float = 40.0
    """Seconds of silence after which a node counts as unreachable."""
    eviction: Limits = field(default_factory=Limits)
    """How fast nodes that are not ready are given up."""
    service_cidr: str = ""
    cluster_cidr: str = ""
    node_mask: int = 24
    """Prefix length of a node's part of `cluster_cidr`."""
    lan: str = ""
    """The company LAN that nodes on other machines get addresses of; empty: they bring their own."""
    lan_reserved: tuple[tuple[int, int], ...] = ()
    """Ranges of it that are no node's."""
    signing_certificate: str = ""
    signing_key: str = field(default="", repr=False)
    """What signs CertificateSigningRequests, PEM; empty signs none."""
    volume_folder: str = ""
    """Where the folders of provisioned volumes are; empty provisions none."""
    terminated_pods: int = 12500
    """Finished pods that are kept in the whole cluster; nought keeps all."""
    pod_gc_quarantine: float = 40.0
    """Seconds a node must have been gone before its pods are removed."""


class Loop(Protocol):
    """A controller as the catalog knows it."""

    async def run(self) -> None: ...


def slim(obj: Object) -> Object:
    """The object without what no controller reads."""
    obj["metadata"].pop("managedFields", None)
    return obj


class Index:
    """Objects of an informer by something computed from them, kept up to date."""

    def __init__(self, informer: Informer, keys: Callable[[Object], Iterable[Hashable]]) -> None:
        self._keys = keys
        self._found: dict[Hashable, dict[Key, Object]] = {}
        informer.subscribe(self._on)

    def get(self, value: Hashable) -> list[Object]:
        return list(self._found.get(value, {}).values())

    def __contains__(self, value: Hashable) -> bool:
        return value in self._found

    def _on(self, delta: Delta) -> None:
        match delta:
            case Applied(new, old):
                if old is not None:
                    self._drop(old)
                for value in self._keys(new):
                    self._found.setdefault(value, {})[key(new)] = new
            case Deleted(old):
                self._drop(old)

    def _drop(self, obj: Object) -> None:
        for value in self._keys(obj):
            if (group := self._found.get(value)) is not None:
                group.pop(key(obj), None)
                if not group:
                    del self._found[value]


def by_owner(obj: Object) -> Iterable[Hashable]:
    """The uid of the controller; of an orphan, the namespace."""
    reference = controller_of(obj)
    yield ("owner", reference.get("uid")) if reference else ("orphan", namespace(obj))


def by_namespace(obj: Object) -> Iterable[Hashable]:
    yield namespace(obj)


def by_node(obj: Object) -> Iterable[Hashable]:
    if node := spec(obj).get("nodeName"):
        yield node


class Informers:
    """One informer a resource, shared by all controllers of the process."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers: dict[tuple[Resource, str | None, str], Informer] = {}
        self._indexes: dict[tuple[Resource, Hashable], Index] = {}
        self._group: asyncio.TaskGroup | None = None

    def of(self, resource: Resource, namespace: str | None = None, field_selector: str = "") -> Informer:
        """The informer of the resource, made and, once `run` runs, started if it is new."""
        where = (resource, namespace, field_selector)
        if (informer := self._informers.get(where)) is None:
            informer = Informer(
                self._client, resource, namespace=namespace, field_selector=field_selector, transform=slim
            )
            self._informers[where] = informer
            if self._group is not None:
                self._start(informer)
        return informer

    def index(self, resource: Resource, keys: Callable[[Object], Iterable[Hashable]]) -> Index:
        found = self._indexes.get((resource, keys))
        if found is None:
            found = self._indexes[resource, keys] = Index(self.of(resource), keys)
        return found

    def known(self, resource: Resource) -> Informer | None:
        """The unrestricted informer of the resource, if anyone has asked for it."""
        return self._informers.get((resource, None, ""))

    def _start(self, informer: Informer) -> None:
        assert self._group is not None
        self._group.create_task(informer.run(), name=f"informer {informer.resource.group_resource}")

    async def run(self) -> None:
        """Keep every informer, also those made later, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for informer in self._informers.values():
                self._start(informer)
            await asyncio.Event().wait()


@dataclass
class Context:
    client: Client
    informers: Informers
    settings: Settings = field(default_factory=Settings)
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""

    def recorder(self, component: str) -> Recorder:
        """Writes events as one controller, by the name `kubectl describe` shows."""
        return Recorder(self.client, component)

    async def ready(self, *informers: Informer) -> None:
        await all_synced(*informers)


def same_uid(obj: Object | None, wanted: str | None) -> bool:
    return obj is not None and uid(obj) == wanted
