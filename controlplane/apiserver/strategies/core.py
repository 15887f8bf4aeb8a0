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
from ..validation import config, coordination, nodes, persistent, quotas
from ..validation import pods as pod_validation
from .checked import Checked, Checks
from .converting import Converting


class NamedStrategy(Strategy):
    """Objects about which nothing but their metadata is checked."""


class NodeStrategy(Checked):
    """A kubelet registers its node with a status; later writes of the node itself leave it alone."""

    table = Checks(fill=defaults.node, new=nodes.node, update=nodes.node_update, status=nodes.node_update)

    def empty_status(self, obj: Object) -> Any:
        return obj.get("status")

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        unschedulable = (obj.get("spec") or {}).get("unschedulable")
        name = obj["metadata"].get("name", "")
        return {"metadata.name": name, "spec.unschedulable": "true" if unschedulable else "false"}


class NamespaceStrategy(Checked):
    """A namespace stays, Terminating, until its specification's finalizers are gone (subresource `finalize`)."""

    table = Checks(fill=defaults.namespace, new=config.namespace, status=config.namespace_status)

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

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return config.namespace_finalizers(obj) if ctx.subresource == "finalize" else []

    def prepare_for_delete(self, ctx: RequestContext, obj: Object) -> None:
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}

    def remains_after_delete(self, obj: Object) -> bool:
        return bool((obj.get("spec") or {}).get("finalizers"))

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        name = obj["metadata"].get("name", "")
        return {"metadata.name": name, "name": name, "status.phase": (obj.get("status") or {}).get("phase", "")}


class ConfigMapStrategy(Checked):
    table = Checks(check=config.config_map, update=config.config_map_update, update_first=True)


class SecretStrategy(Checked):
    table = Checks(fill=defaults.secret, check=config.secret, update=config.secret_update, update_first=True)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {**super().selectable_fields(obj), "type": obj.get("type", "")}


class EventStrategy(Converting):
    stored_version = "v1"
    allow_create_on_update = True
    object_key = "involvedObject"

    def convert(self, obj: Object, version: str) -> Object:
        return conversion.event_to_core(obj) if version == "v1" else conversion.event_from_core(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return coordination.event(obj)

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

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        found = super().selectable_fields(obj)
        del found["source"]
        reporting = found.pop("reportingComponent")
        return {**found, "reportingController": reporting}

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        found = conversion.event_to_core(obj)
        return coordination.event(found) + coordination.new_event(found)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        found, before = conversion.event_to_core(obj), conversion.event_to_core(old)
        return coordination.event(found) + coordination.event_update(found, before)


class LimitRangeStrategy(Checked):
    allow_create_on_update = True
    table = Checks(fill=defaults.limit_range, check=quotas.limit_range)


class ResourceQuotaStrategy(Checked):
    table = Checks(check=quotas.quota, update=quotas.quota_update, status=quotas.quota_status)


class PersistentVolumeStrategy(Checked):
    table = Checks(
        fill=defaults.persistent_volume, check=persistent.persistent_volume, update=persistent.persistent_volume_update
    )

    def empty_status(self, obj: Object) -> Any:
        return {"phase": "Pending"}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        obj["status"]["lastPhaseTransitionTime"] = ctx.now

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        now, was = obj.get("status") or {}, old.get("status") or {}
        if ctx.subresource == "status" and now.get("phase") != was.get("phase"):
            obj["status"] = {**now, "lastPhaseTransitionTime": ctx.now}


class PersistentVolumeClaimStrategy(Checked):
    table = Checks(
        fill=defaults.persistent_volume_claim,
        check=persistent.persistent_volume_claim,
        update=persistent.claim_update,
        status=persistent.claim_status,
    )

    def empty_status(self, obj: Object) -> Any:
        return {"phase": "Pending"}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        """The older and the newer way to name where the data comes from say the same."""
        spec = obj["spec"]
        older, newer = spec.get("dataSource"), spec.get("dataSourceRef")
        if older is not None and newer is None:
            spec["dataSourceRef"] = dict(older)
        elif newer is not None and older is None and not newer.get("namespace"):
            spec["dataSource"] = {key: item for key, item in newer.items() if key != "namespace"}


class PodTemplateStrategy(Strategy):
    has_generation = True
    specification = ("template",)

    def default(self, obj: Object) -> None:
        pod_defaults.template(obj["template"])

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return pod_validation.pod_template(obj["template"], "template")
