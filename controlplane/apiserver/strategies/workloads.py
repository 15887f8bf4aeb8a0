"""The kinds that run pods, and those that scale and protect them."""

from __future__ import annotations

from typing import Any

from panal import formats

from .. import conversion
from ..defaults import core as core_defaults
from ..defaults import pods as pod_defaults
from ..defaults import workloads as defaults
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy, keep
from ..validation import autoscaling, disruption, jobs, jobstatus, statuses
from ..validation import workloads as validation
from .checked import Checked, Checks
from .converting import Converting
from .podwarnings import template_warnings

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class _Workload(Strategy):
    """What has a specification with a pod template."""

    has_generation = True

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        if ctx.subresource or (old is not None and old.get("spec") == obj.get("spec")):
            return []
        return template_warnings(self._template(obj), self._template_field())

    def _template(self, obj: Object) -> Any:
        return obj["spec"].get("template")

    def _template_field(self) -> str:
        return "spec.template"

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return statuses.status(self.resource.kind, obj, old)


class DeploymentStrategy(_Workload):
    def default(self, obj: Object) -> None:
        defaults.deployment(obj)

    def specification_changed(self, obj: Object, old: Object) -> bool:
        """A deployment's annotations count too: controllers read them."""
        return obj.get("spec") != old.get("spec") or (
            obj["metadata"].get("annotations") != old["metadata"].get("annotations")
        )

    def _keep_all_but_status(self, obj: Object, old: Object) -> None:
        """A deployment's labels too, unlike those of other kinds, are not the status' to change."""
        super()._keep_all_but_status(obj, old)
        keep(obj["metadata"], old["metadata"], "labels")

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.deployment(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if obj.get("spec") == old.get("spec"):
            return []
        return validation.deployment(obj) + validation.selector_immutable(obj, old)


class ReplicaSetStrategy(_Workload):
    def default(self, obj: Object) -> None:
        defaults.replica_set(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.replica_set(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if obj.get("spec") == old.get("spec"):
            return []
        return validation.replica_set(obj) + validation.selector_immutable(obj, old)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        replicas = (obj.get("status") or {}).get("replicas", 0)
        return {**super().selectable_fields(obj), "status.replicas": str(replicas)}


class ReplicationControllerStrategy(ReplicaSetStrategy):
    def default(self, obj: Object) -> None:
        core_defaults.replication_controller(obj)
        if obj["spec"].get("template") is not None:
            pod_defaults.template(obj["spec"]["template"])

    def default_propagation(self) -> str:
        return "Orphan"

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.replication_controller(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return validation.replication_controller(obj)


class DaemonSetStrategy(_Workload):
    def default(self, obj: Object) -> None:
        """The template's generation counts from nought until the object is prepared; whoever writes owns it."""
        defaults.daemon_set(obj)
        annotations = obj["metadata"].get("annotations") or {}
        if TEMPLATE_GENERATION not in annotations:
            obj["metadata"]["annotations"] = {**annotations, TEMPLATE_GENERATION: "0"}

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = "1"

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        """The generation of the template, which old controllers counted, rises with the template."""
        known = (old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION)
        if ctx.subresource or known is None:
            return
        changed = obj["spec"].get("template") != old["spec"].get("template")
        count = int(known) + (1 if changed else 0) if known.isdecimal() else 1
        obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = str(count)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.daemon_set(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if obj.get("spec") == old.get("spec"):
            return []
        return validation.daemon_set(obj) + validation.selector_immutable(obj, old)


class StatefulSetStrategy(_Workload):
    def default(self, obj: Object) -> None:
        defaults.stateful_set(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.stateful_set(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if obj.get("spec") == old.get("spec"):
            return []
        return validation.stateful_set(obj) + validation.stateful_set_update(obj, old)


class JobStrategy(_Workload):
    """A job finds its pods by its uid, which stands in its template's labels."""

    def default(self, obj: Object) -> None:
        defaults.job(obj)

    def default_propagation(self) -> str:
        return "Orphan"

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        spec, metadata = obj["spec"], obj["metadata"]
        if spec.get("manualSelector"):
            return
        labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
        own = metadata.get("labels")
        marks = {
            "batch.kubernetes.io/controller-uid": metadata["uid"],
            "batch.kubernetes.io/job-name": metadata.get("name", ""),
            "controller-uid": metadata["uid"],
            "job-name": metadata.get("name", ""),
        }
        labels.update(marks)
        metadata["labels"] = {**(own or {}), **marks}
        selector = spec.setdefault("selector", {})
        selector.setdefault("matchLabels", {})["batch.kubernetes.io/controller-uid"] = metadata["uid"]

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return jobs.job(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        if obj.get("spec") == old.get("spec"):
            return []
        return jobs.job_update(obj, old)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return jobstatus.status(obj, old)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        succeeded = (obj.get("status") or {}).get("succeeded", 0)
        return {**super().selectable_fields(obj), "status.successful": str(succeeded)}

    def unknown_field(self, name: str) -> str:
        return f'field label "{name}" not supported for Job'


class CronJobStrategy(_Workload):
    def default(self, obj: Object) -> None:
        defaults.cron_job(obj)

    def validate_name(self, name: str) -> list[str]:
        """Its jobs' names are eleven characters longer."""
        complaints = formats.subdomain_name(name)
        return [*complaints, "must be no more than 52 characters"] if len(name) > 52 else complaints

    def _template(self, obj: Object) -> Any:
        return obj["spec"]["jobTemplate"]["spec"].get("template")

    def _template_field(self) -> str:
        return "spec.jobTemplate.spec.template"

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return jobs.cron_job(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return [] if obj.get("spec") == old.get("spec") else jobs.cron_job(obj, old)


class AutoscalerStrategy(Converting):
    stored_version = "autoscaling/v2"

    def convert(self, obj: Object, version: str) -> Object:
        to_v1 = version == "autoscaling/v1"
        return conversion.autoscaler_to_v1(obj) if to_v1 else conversion.autoscaler_to_v2(obj)

    def default(self, obj: Object) -> None:
        if self.resource.version == "v1":
            defaults.autoscaler_v1(obj)
        else:
            defaults.autoscaler(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        """Either version in the words of the newer."""
        if self.resource.version == "v1":
            obj = conversion.autoscaler_to_v2(obj)
        return autoscaling.autoscaler(obj)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return statuses.status(self.resource.kind, obj, old)


class DisruptionBudgetStrategy(Checked):
    has_generation = True
    allow_unconditional_update = False
    table = Checks(check=disruption.disruption_budget)

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return statuses.status(self.resource.kind, obj, old)


class ControllerRevisionStrategy(Checked):
    table = Checks(check=validation.controller_revision, update=validation.controller_revision_update)
