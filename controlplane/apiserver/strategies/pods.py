"""Pods: quality of service, what may change once they exist, and how long they may take to end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from panal.quantity import parse

from ..defaults import pods as defaults
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from ..validation import podparts, podstatus, podupdate
from ..validation import pods as validation
from .podwarnings import pod_warnings


def quality_of_service(spec: Mapping[str, Any]) -> str:
    """Guaranteed when every container's requests are its limits, BestEffort when nobody asks for anything."""
    asked, limited = False, True
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        resources = container.get("resources") or {}
        requests, limits = (_amounts(resources.get(key) or {}) for key in ("requests", "limits"))
        asked = asked or bool(requests) or bool(limits)
        limited = limited and len(limits) == 2 and requests == limits
    if not asked:
        return "BestEffort"
    return "Guaranteed" if limited else "Burstable"


def _amounts(resources: Mapping[str, str]) -> dict[str, Any]:
    found = ((name, parse(resources[name])) for name in ("cpu", "memory") if name in resources)
    return {name: amount for name, amount in found if amount > 0}


_PARTS = {"ephemeralcontainers": podparts.with_ephemeral, "resize": podparts.with_resources}
"""Subresources that write a part of the specification, and nothing else of it."""


class PodStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.pod(obj)

    def empty_status(self, obj: Object) -> Any:
        return {"phase": "Pending", "qosClass": quality_of_service(obj["spec"])}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        if obj["spec"].get("schedulingGates") and not obj["status"].get("conditions"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": None,
                    "lastTransitionTime": None,
                }
            ]

    def prepare_for_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        if ctx.subresource in _PARTS:
            obj["spec"] = _PARTS[ctx.subresource](obj.get("spec") or {}, old["spec"])
            self._set_status(obj, old.get("status"))
        super().prepare_for_update(ctx, obj, old)
        if ctx.subresource in _PARTS and obj["spec"] != old["spec"]:
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        if ctx.subresource == "status":
            quality = (old.get("status") or {}).get("qosClass")
            if quality and isinstance(obj.get("status"), dict):
                obj["status"]["qosClass"] = quality

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.new_pod(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if ctx.subresource == "binding":
            return []
        if ctx.subresource == "ephemeralcontainers":
            return podparts.ephemeral(obj, old)
        if ctx.subresource == "resize":
            return podparts.resize(obj, old, (quality_of_service(obj["spec"]), quality_of_service(old["spec"])))
        if obj.get("spec") == old.get("spec"):
            return podupdate.annotation_update(obj, old)
        return podupdate.pod_update(obj, old)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return podstatus.pod_status(obj, old)

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        if ctx.subresource or (old is not None and old.get("spec") == obj.get("spec")):
            return []
        return pod_warnings(obj["spec"], obj.get("metadata") or {}, "")

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        addresses: Iterable[Mapping[str, str]] = status.get("podIPs") or ()
        return {
            **super().selectable_fields(obj),
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.restartPolicy": spec.get("restartPolicy", ""),
            "spec.schedulerName": spec.get("schedulerName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
            "status.phase": status.get("phase", ""),
            "status.podIP": status.get("podIP") or next((item.get("ip", "") for item in addresses), ""),
            "status.nominatedNodeName": status.get("nominatedNodeName", ""),
        }

    def deletion_grace(self, ctx: RequestContext, obj: Object, options: Mapping[str, Any]) -> int | None:
        """What the deletion asks for, else the pod; nothing for a pod that runs nowhere or has ended."""
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        seconds = options.get("gracePeriodSeconds")
        if seconds is None:
            seconds = spec.get("terminationGracePeriodSeconds", 0)
        if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
            return 0
        return 1 if seconds < 0 else int(seconds)
