"""networking.k8s.io: ingresses, policies, and the addresses that a cluster gives out."""

from __future__ import annotations

from typing import Any

from panal import formats

from ..defaults import others as defaults
from ..strategy import Object, RequestContext
from ..validation import ingresses, networkpolicies
from .checked import Checked, Checks, Versioned

_CLASS = "kubernetes.io/ingress.class"


class IngressStrategy(Checked):
    has_generation = True
    table = Checks(check=ingresses.ingress, new=ingresses.class_said_twice, status=ingresses.ingress_status)

    def empty_status(self, obj: Object) -> Any:
        return {"loadBalancer": {}}

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        if old is None and _CLASS in (obj["metadata"].get("annotations") or {}):
            return [f"annotation \"{_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]
        return []


class IngressClassStrategy(Checked):
    has_generation = True
    table = Checks(
        fill=defaults.ingress_class,
        check=ingresses.ingress_class,
        update=ingresses.ingress_class_update,
        update_first=True,
    )


class NetworkPolicyStrategy(Checked):
    has_generation = True
    table = Checks(fill=defaults.network_policy, check=networkpolicies.network_policy)


class IPAddressStrategy(Versioned):
    table = Checks(new=ingresses.ip_address, update=ingresses.ip_address_update)

    def validate_name(self, name: str) -> list[str]:
        return formats.ip_address(name)


class ServiceCIDRStrategy(Versioned):
    table = Checks(new=ingresses.service_cidr, update=ingresses.service_cidr_update)
