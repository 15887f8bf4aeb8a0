"""Services, Endpoints and EndpointSlices. Addresses and node ports are given out by allocation.py."""

from __future__ import annotations

from typing import Any

from panal import formats

from ..defaults import core as defaults
from ..defaults.others import endpoint_slice
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from ..validation import endpoints as endpoint_validation
from ..validation import services as validation
from ..validation import serviceupdate
from .checked import Checked, Checks

Spec = dict[str, Any]


def normalize_cluster_ips(spec: Spec, old: Spec | None) -> None:
    """`clusterIP` and `clusterIPs` say the same: a client may write only one of the two."""
    single, several = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if old is None:
        if single and not several:
            spec["clusterIPs"] = [single]
        return
    was, were = old.get("clusterIP", ""), old.get("clusterIPs") or []
    if single != was and several == were:
        if single:
            spec["clusterIPs"] = [single]
        else:
            spec.pop("clusterIPs", None)
    elif was and not single and not several:
        return
    elif single and not several:
        spec["clusterIPs"] = [single]


def keep_allocated(spec: Spec, old: Spec) -> None:
    """An update that leaves out what was allocated keeps it."""
    kind, was = spec.get("type"), old.get("type")
    if kind != "ExternalName" and was != "ExternalName":
        if not spec.get("clusterIP") and not spec.get("clusterIPs"):
            for key in ("clusterIP", "clusterIPs"):
                if key in old:
                    spec[key] = old[key]
        elif spec.get("clusterIP") == old.get("clusterIP") and not spec.get("clusterIPs") and "clusterIPs" in old:
            spec["clusterIPs"] = old["clusterIPs"]
        for key in ("ipFamilies", "ipFamilyPolicy"):
            if key not in spec and key in old:
                spec[key] = old[key]
    if kind in ("NodePort", "LoadBalancer") and was in ("NodePort", "LoadBalancer"):
        known = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in old.get("ports") or ()}
        taken = {port.get("nodePort") for port in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            number = known.get((port.get("protocol"), port.get("port")))
            if not port.get("nodePort") and number and number not in taken:
                port["nodePort"] = number
    if kind == "LoadBalancer" and was == "LoadBalancer" and not spec.get("healthCheckNodePort"):
        if old.get("healthCheckNodePort") and spec.get("externalTrafficPolicy") == "Local":
            spec["healthCheckNodePort"] = old["healthCheckNodePort"]


def drop_dependents(spec: Spec, old: Spec) -> None:
    """What belongs to the former type goes with it, unless the update says otherwise."""
    kind, was = spec.get("type"), old.get("type")
    if was != "ExternalName" and kind == "ExternalName":
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            if spec.get(key) == old.get(key):
                spec.pop(key, None)
    outside = ("NodePort", "LoadBalancer")
    if was in outside and kind not in outside:
        before = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") == before.get((port.get("protocol"), port.get("port"))):
                port.pop("nodePort", None)
        if not spec.get("externalIPs") and spec.get("externalTrafficPolicy") == old.get("externalTrafficPolicy"):
            spec.pop("externalTrafficPolicy", None)
    if was == "LoadBalancer" and kind != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(key) == old.get(key):
                spec.pop(key, None)
    needed = kind == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
    if old.get("healthCheckNodePort") and not needed:
        if spec.get("healthCheckNodePort") == old.get("healthCheckNodePort"):
            spec.pop("healthCheckNodePort", None)


def set_families(spec: Spec) -> None:
    """The families of a cluster that has IPv4 only."""
    if spec.get("type") == "ExternalName":
        return
    headless = spec.get("clusterIP") == "None"
    if headless and not spec.get("selector") and "ipFamilyPolicy" not in spec:
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        spec["ipFamilyPolicy"] = "RequireDualStack"
        return
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("ipFamilies", ["IPv4"])


class ServiceStrategy(Strategy):
    allow_create_on_update = True

    def default(self, obj: Object) -> None:
        defaults.service(obj)

    def validate_name(self, name: str) -> list[str]:
        return formats.label_name(name)

    def empty_status(self, obj: Object) -> Any:
        return {"loadBalancer": {}}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        spec = obj["spec"]
        normalize_cluster_ips(spec, None)
        set_families(spec)

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        if ctx.subresource:
            return
        spec, before = obj["spec"], old["spec"]
        normalize_cluster_ips(spec, before)
        keep_allocated(spec, before)
        drop_dependents(spec, before)
        set_families(spec)
        if spec.get("type") != "LoadBalancer" and before.get("type") == "LoadBalancer":
            obj["status"] = {**(old.get("status") or {}), "loadBalancer": {}}

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.service(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return serviceupdate.service_update(obj, old) + validation.service(obj)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return serviceupdate.service_status(obj, old)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec = obj.get("spec") or {}
        return {
            **super().selectable_fields(obj),
            "spec.clusterIP": spec.get("clusterIP", ""),
            "spec.type": spec.get("type", ""),
        }


class EndpointsStrategy(Checked):
    allow_create_on_update = True
    table = Checks(fill=defaults.endpoints, check=endpoint_validation.endpoints)


class EndpointSliceStrategy(Checked):
    has_generation = True
    specification = ("addressType", "endpoints", "ports")
    table = Checks(
        fill=endpoint_slice, check=endpoint_validation.endpoint_slice, update=endpoint_validation.endpoint_slice_update
    )

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if all(obj.get(key) == old.get(key) for key in self.specification):
            return []
        return super()._validate_update(ctx, obj, old)
