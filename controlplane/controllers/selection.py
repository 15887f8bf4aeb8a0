"""Which Services a change of a pod concerns: shared by the EndpointSlice and Endpoints controllers."""

from __future__ import annotations

from collections.abc import Callable

from panal.informer import Applied, Deleted, Delta
from panal.resources import PODS, SERVICES

from .context import Context, by_namespace
from .meta import Key, Object, is_deleting, key, labels, namespace, spec, status
from .pods import is_ready, phase


def selects(service: Object, pod: Object) -> bool:
    """A Service without a selector selects nothing: its endpoints are somebody else's."""
    selector: dict[str, str] = spec(service).get("selector") or {}
    return bool(selector) and selector.items() <= labels(pod).items()


def is_selecting(service: Object) -> bool:
    return bool(spec(service).get("selector")) and spec(service).get("type") != "ExternalName"


def matters(old: Object, new: Object) -> bool:
    """Whether a pod's change can change any endpoint."""

    def seen(pod: Object) -> tuple[object, ...]:
        where = spec(pod)
        return (
            phase(pod),
            is_ready(pod),
            is_deleting(pod),
            status(pod).get("podIP"),
            status(pod).get("podIPs"),
            where.get("nodeName"),
            where.get("hostname"),
            where.get("subdomain"),
            labels(pod),
        )

    return seen(old) != seen(new)


class ServicePods:
    """Calls `add(key of the Service)` for every Service that a change concerns; finds a Service's pods."""

    def __init__(self, context: Context, add: Callable[[Key], None]) -> None:
        informers = context.informers
        self._add = add
        self._services_in = informers.index(SERVICES, by_namespace)
        self._pods_in = informers.index(PODS, by_namespace)
        self.services = informers.of(SERVICES)
        self.pods = informers.of(PODS)
        self.services.subscribe(self._on_service)
        self.pods.subscribe(self._on_pod)

    def of(self, service: Object) -> list[Object]:
        return [pod for pod in self._pods_in.get(namespace(service)) if selects(service, pod)]

    def _on_service(self, delta: Delta) -> None:
        self._add(key(delta.new if isinstance(delta, Applied) else delta.old))

    def _on_pod(self, delta: Delta) -> None:
        match delta:
            case Applied(new, None):
                self._touch(new)
            case Applied(new, old) if old is not None:
                if matters(old, new):
                    self._touch(new)
                if labels(old) != labels(new):
                    self._touch(old)
            case Deleted(old):
                self._touch(old)

    def _touch(self, pod: Object) -> None:
        for service in self._services_in.get(namespace(pod)):
            if selects(service, pod):
                self._add(key(service))
