"""admissionregistration.k8s.io: webhooks, and policies in CEL with their bindings."""

from __future__ import annotations

from ..defaults import others as defaults
from ..strategy import Object, RequestContext
from ..validation import policies, webhooks
from .checked import Checks, Versioned


class WebhookStrategy(Versioned):
    specification = ("webhooks",)
    table = Checks(fill=defaults.webhooks, check=webhooks.configuration)


class _Policy(Versioned):
    """What the policy status controller finds out, the types of expressions, is found out here as it is written."""

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
        return [] if ctx.subresource or (old and old["spec"] == obj["spec"]) else policies.unsupported(obj)


class ValidatingPolicyStrategy(_Policy):
    table = Checks(fill=defaults.admission_policy, check=policies.validating)


class MutatingPolicyStrategy(_Policy):
    table = Checks(fill=defaults.admission_policy, check=policies.mutating)


class ValidatingBindingStrategy(Versioned):
    table = Checks(fill=defaults.admission_policy_binding, check=policies.validating_binding)


class MutatingBindingStrategy(Versioned):
    table = Checks(fill=defaults.admission_policy_binding, check=policies.binding)
