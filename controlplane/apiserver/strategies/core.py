"""The core group's other kinds: nodes, namespaces, configuration, events, quotas and storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal import formats

from .. import conversion
from ..defaults import core as defaults
from ..defaults import pods as pod_defaults
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from ..validation import others as validation
from ..validation import pods as pod_validation
from ..validation import resources
from .converting import Converting


class NamedStrategy(Strategy):
    """Objects about which nothing but their metadata is checked."""


class NodeStrategy(Strategy):
    """A kubelet registers its node with a status; later writes of the node itself leave it alone."""

    def default(self, obj: Object) -> None:
        defaults.node(obj)

    def empty_status(self, obj: Object) -> Any:
        return obj.get("status")

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.node(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if obj.get("spec") == old.get("spec"):
            return []
        return validation.node(obj) + validation.node_update(obj, old)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        unschedulable = (obj.get("spec") or {}).get("unschedulable")
        name = obj["metadata"].get("name", "")
        return {"metadata.name": name, "spec.unschedulable": "true" if unschedulable else "false"}


class NamespaceStrategy(Strategy):
    """A namespace stays, Terminating, until its specification's finalizers are gone (subresource `finalize`)."""

    def default(self, obj: Object) -> None:
        defaults.namespace(obj)

    def validate_name(self, name: str) -> list[str]:
        return formats.label_name(name)

    def empty_status(self, obj: Object) -> Any:
        return {"phase": "Active"}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        finalizers = obj["spec"].setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
        defaults.namespace(obj)

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        if ctx.subresource == "finalize":
            if "status" in old:
                obj["status"] = old["status"]
        elif not ctx.subresource:
            obj["spec"] = {**(obj.get("spec") or {})}
            obj["spec"].pop("finalizers", None)
            if "finalizers" in (old.get("spec") or {}):
                obj["spec"]["finalizers"] = old["spec"]["finalizers"]

    def prepare_for_delete(self, ctx: RequestContext, obj: Object) -> None:
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}

    def remains_after_delete(self, obj: Object) -> bool:
        return bool((obj.get("spec") or {}).get("finalizers"))

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        name = obj["metadata"].get("name", "")
        return {"metadata.name": name, "name": name, "status.phase": (obj.get("status") or {}).get("phase", "")}


class ConfigMapStrategy(Strategy):
    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.config_map(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return validation.frozen(obj, old, "data", "binaryData") + validation.config_map(obj)


class SecretStrategy(Strategy):
    def default(self, obj: Object) -> None:
        defaults.secret(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.secret(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return validation.secret_update(obj, old) + validation.secret(obj)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {**super().selectable_fields(obj), "type": obj.get("type", "")}


class EventStrategy(Converting):
    stored_version = "v1"
    allow_create_on_update = True
    object_key = "involvedObject"

    def convert(self, obj: Object, version: str) -> Object:
        return conversion.event_to_core(obj) if version == "v1" else conversion.event_from_core(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.event(obj)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        about: Mapping[str, str] = obj.get("involvedObject") or obj.get("regarding") or {}
        source = (obj.get("source") or obj.get("deprecatedSource") or {}).get("component", "")
        names = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        return {
            **super().selectable_fields(obj),
            **{f"{self.object_key}.{name}": about.get(name, "") for name in names},
            "reason": obj.get("reason", ""),
            "reportingComponent": obj.get("reportingComponent", "") or obj.get("reportingController", ""),
            "source": source or obj.get("reportingComponent", "") or obj.get("reportingController", ""),
            "type": obj.get("type", ""),
        }


class NewEventStrategy(EventStrategy):
    """events.k8s.io: the same events under other names."""

    object_key = "regarding"


class LimitRangeStrategy(Strategy):
    allow_create_on_update = True

    def default(self, obj: Object) -> None:
        defaults.limit_range(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return resources.limit_range(obj.get("spec") or {}, "spec")


class ResourceQuotaStrategy(Strategy):
    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return resources.quota(obj.get("spec") or {}, "spec")


class PersistentVolumeStrategy(Strategy):
    def default(self, obj: Object) -> None:
        defaults.persistent_volume(obj)

    def empty_status(self, obj: Object) -> Any:
        return {"phase": "Pending"}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        obj["status"]["lastPhaseTransitionTime"] = ctx.now

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        now, was = obj.get("status") or {}, old.get("status") or {}
        if ctx.subresource == "status" and now.get("phase") != was.get("phase"):
            obj["status"] = {**now, "lastPhaseTransitionTime": ctx.now}

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.persistent_volume(obj)


class PersistentVolumeClaimStrategy(Strategy):
    def default(self, obj: Object) -> None:
        defaults.persistent_volume_claim(obj)

    def empty_status(self, obj: Object) -> Any:
        return {"phase": "Pending"}

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.persistent_volume_claim(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return validation.persistent_volume_claim(obj) + validation.claim_update(obj, old)


class PodTemplateStrategy(Strategy):
    has_generation = True
    specification = ("template",)

    def default(self, obj: Object) -> None:
        pod_defaults.template(obj["template"])

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return pod_validation.pod_template(obj["template"], "template")
