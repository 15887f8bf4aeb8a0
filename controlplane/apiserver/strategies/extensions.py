"""What extends the API: definitions of custom resources, and API services."""

from __future__ import annotations

from typing import Any

from ..defaults import others as defaults
from ..fielderrors import FieldError, bad
from ..strategy import Object, RequestContext
from ..validation import customresources, extensions, meta
from .checked import Checks, Strict


class CustomResourceDefinitionStrategy(Strict):
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

        return customresources.definition(obj) + definitions.check(obj) + customresources.new(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        from ..custom import definitions

        errors = customresources.update(obj, old)
        return (
            errors if obj["spec"] == old["spec"] else customresources.definition(obj) + definitions.check(obj) + errors
        )


class APIServiceStrategy(Strict):
    table = Checks(fill=defaults.api_service, check=extensions.api_service)

    def validate_metadata(self, obj: Object) -> list[FieldError]:
        """Its name is what it serves."""
        name = obj["metadata"].get("name", "")
        errors = meta.validate(obj["metadata"], False, meta.path_segment_name)
        wrong = extensions.api_service_name(name, obj.get("spec") or {})
        return errors + [bad("metadata.name", name, text) for text in wrong if name]
