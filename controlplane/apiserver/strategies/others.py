"""The remaining groups: networking, coordination, scheduling, storage, RBAC, webhooks, extensions, flow control."""

from __future__ import annotations

from typing import Any

from ..defaults import others as defaults
from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from ..validation import meta, networkpolicies
from ..validation import others as validation


class GenerationStrategy(Strategy):
    """Nothing but a generation that rises with the specification."""

    has_generation = True
    allow_unconditional_update = False


class StrictStrategy(Strategy):
    """Updates name the revision they change."""

    allow_unconditional_update = False


class IngressStrategy(Strategy):
    has_generation = True

    def empty_status(self, obj: Object) -> Any:
        return {"loadBalancer": {}}

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.ingress(obj)

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        annotations = obj["metadata"].get("annotations") or {}
        if old is None and "kubernetes.io/ingress.class" in annotations:
            return [
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
            ]
        return []


class IngressClassStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.ingress_class(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.ingress_class(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        now, was = obj["spec"].get("controller", ""), old["spec"].get("controller", "")
        return meta.immutable(now, was, "spec.controller") + validation.ingress_class(obj)


class NetworkPolicyStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.network_policy(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return networkpolicies.network_policy(obj)


class LeaseStrategy(Strategy):
    allow_create_on_update = True
    allow_unconditional_update = False

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.lease(obj)


class PriorityClassStrategy(Strategy):
    has_generation = True
    specification = ("value", "preemptionPolicy")

    def default(self, obj: Object) -> None:
        defaults.priority_class(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.priority_class(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        from ..fielderrors import bad, forbidden

        errors = validation.priority_class(obj)
        if obj.get("value") != old.get("value"):
            errors.append(forbidden("value", "may not be changed in an update."))
        if obj.get("preemptionPolicy") != old.get("preemptionPolicy"):
            errors.append(bad("preemptionPolicy", obj.get("preemptionPolicy"), meta.IMMUTABLE))
        return errors


class StorageClassStrategy(Strategy):
    def default(self, obj: Object) -> None:
        defaults.storage_class(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.storage_class(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        from ..fielderrors import forbidden

        words = {
            "parameters": "updates to parameters are forbidden.",
            "provisioner": "updates to provisioner are forbidden.",
            "reclaimPolicy": "updates to reclaimPolicy are forbidden.",
        }
        errors = [forbidden(key, text) for key, text in words.items() if obj.get(key) != old.get(key)]
        return errors + meta.immutable(obj.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")


class CSIDriverStrategy(StrictStrategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.csi_driver(obj)


class RoleStrategy(Strategy):
    allow_create_on_update = True

    def validate_name(self, name: str) -> list[str]:
        return meta.path_segment_name(name)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.role(obj, namespaced=self.resource.namespaced)


class RoleBindingStrategy(RoleStrategy):
    def default(self, obj: Object) -> None:
        defaults.role_binding(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.role_binding(obj, namespaced=self.resource.namespaced)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return self._validate(ctx, obj) + validation.role_reference_update(obj, old)


class WebhookStrategy(StrictStrategy):
    has_generation = True
    specification = ("webhooks",)

    def default(self, obj: Object) -> None:
        defaults.webhooks(obj)


class AdmissionPolicyStrategy(StrictStrategy):
    """What the policy status controller finds out, the types of expressions, is found out here as it is written."""

    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.admission_policy(obj)

    def prepare_for_create(self, ctx: RequestContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        self._note(ctx, obj)

    def prepare_for_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        self._note(ctx, obj)

    def _note(self, ctx: RequestContext, obj: Object) -> None:
        if self.has_status and not ctx.subresource:
            status = {**(obj.get("status") or {}), "observedGeneration": obj["metadata"]["generation"]}
            obj["status"] = {**status, "typeChecking": status.get("typeChecking") or {}}

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        from ..validation import policies

        return [] if ctx.subresource or (old and old["spec"] == obj["spec"]) else policies.unsupported(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        from ..validation import policies

        return policies.policy(obj) if self.resource.plural.startswith("validating") else []


class AdmissionPolicyBindingStrategy(StrictStrategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.admission_policy_binding(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        from ..validation import policies

        return policies.binding(obj) if self.resource.plural.startswith("validating") else []


class CustomResourceDefinitionStrategy(StrictStrategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.custom_resource_definition(obj)

    def empty_status(self, obj: Object) -> Any:
        stored = [item["name"] for item in obj["spec"].get("versions") or () if item.get("storage")]
        return {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}

    def prepare_for_delete(self, ctx: RequestContext, obj: Object) -> None:
        """The definition stays until its objects are gone."""
        from ..custom import naming

        finalizers = obj["metadata"].setdefault("finalizers", [])
        if naming.FINALIZER not in finalizers:
            finalizers.append(naming.FINALIZER)
        words = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
        status = obj.setdefault("status", {})
        status["conditions"] = naming.with_condition(
            list(status.get("conditions") or ()), "Terminating", "True", "InstanceDeletionPending", words, ctx.now
        )

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        """A version that objects are stored in is noted."""
        if ctx.subresource:
            return
        stored = list((obj.get("status") or {}).get("storedVersions") or ())
        new = [each["name"] for each in obj["spec"].get("versions") or () if each.get("storage")]
        if missing := [name for name in new if name not in stored]:
            obj["status"] = {**(obj.get("status") or {}), "storedVersions": stored + missing}

    def warnings(self, ctx: RequestContext, obj: Object, old: Object | None = None) -> list[str]:
        from ..custom import definitions

        return [] if ctx.subresource or (old and old["spec"] == obj["spec"]) else definitions.warnings(obj)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        from ..custom import definitions

        return validation.custom_resource_definition(obj) + definitions.check(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        errors = self._validate(ctx, obj) if obj["spec"] != old["spec"] else []
        now, was = obj["spec"], old["spec"]
        conditions = (old.get("status") or {}).get("conditions") or ()
        if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            errors += meta.immutable(now.get("scope"), was.get("scope"), "spec.scope")
            errors += meta.immutable(now["names"].get("kind"), was["names"].get("kind"), "spec.names.kind")
        errors += meta.immutable(now.get("group"), was.get("group"), "spec.group")
        return errors + meta.immutable(now["names"].get("plural"), was["names"].get("plural"), "spec.names.plural")


class APIServiceStrategy(StrictStrategy):
    def default(self, obj: Object) -> None:
        defaults.api_service(obj)


class SigningRequestStrategy(Strategy):
    """Who asks is written into the request by the server, never by the client."""

    def default(self, obj: Object) -> None:
        defaults.certificate_signing_request(obj)

    def _prepare_create(self, ctx: RequestContext, obj: Object) -> None:
        spec = obj["spec"]
        for key in ("username", "uid", "groups", "extra"):
            spec.pop(key, None)
        if ctx.user:
            spec["username"] = ctx.user
        if ctx.groups:
            spec["groups"] = list(ctx.groups)

    def _prepare_update(self, ctx: RequestContext, obj: Object, old: Object) -> None:
        obj["spec"] = old["spec"]

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return validation.signing_request(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return validation.signing_conditions(obj, old) if ctx.subresource else []

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return validation.signing_conditions(obj, old)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        signer = (obj.get("spec") or {}).get("signerName", "")
        return {"metadata.name": obj["metadata"].get("name", ""), "spec.signerName": signer}


class FlowSchemaStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.flow_schema(obj)


class PriorityLevelStrategy(Strategy):
    has_generation = True

    def default(self, obj: Object) -> None:
        defaults.priority_level(obj)


class ResourceClaimStrategy(Strategy):
    def default(self, obj: Object) -> None:
        defaults.resource_claim(obj["spec"])


class ResourceClaimTemplateStrategy(Strategy):
    def default(self, obj: Object) -> None:
        defaults.resource_claim(obj["spec"].get("spec") or {})


class ResourceSliceStrategy(GenerationStrategy):
    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec = obj.get("spec") or {}
        return {
            "metadata.name": obj["metadata"].get("name", ""),
            "spec.nodeName": spec.get("nodeName") or "",
            "spec.driver": spec.get("driver", ""),
        }

    def unknown_field(self, name: str) -> str:
        return f"field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {name}"
