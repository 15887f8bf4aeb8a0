"""certificates.k8s.io: requests for certificates, and what is decided of them."""

from __future__ import annotations

from typing import Any

from ..fielderrors import FieldError
from ..strategy import Object, RequestContext, Strategy
from ..validation import certificates, meta


class SigningRequestStrategy(Strategy):
    """Who asks is written into the request by the server, never by the client."""

    def validate_name(self, name: str) -> list[str]:
        return meta.path_segment_name(name)

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
        if ctx.subresource:
            _time(obj.get("status") or {}, old.get("status") or {}, ctx.now)

    def _validate(self, ctx: RequestContext, obj: Object) -> list[FieldError]:
        return certificates.signing_request(obj)

    def _validate_update(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return certificates.signing_update(obj, old, ctx.subresource) if ctx.subresource else []

    def _validate_status(self, ctx: RequestContext, obj: Object, old: Object) -> list[FieldError]:
        return certificates.signing_update(obj, old, "status")

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        signer = (obj.get("spec") or {}).get("signerName", "")
        return {"metadata.name": obj["metadata"].get("name", ""), "spec.signerName": signer}


def _time(status: Any, before: Any, now: str) -> None:
    """A condition that says nothing of when: it is as old as it was, or new."""
    for condition in status.get("conditions") or ():
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        if not condition.get("lastTransitionTime"):
            same = (
                each.get("lastTransitionTime")
                for each in before.get("conditions") or ()
                if (each.get("type"), each.get("status")) == (condition.get("type"), condition.get("status"))
            )
            condition["lastTransitionTime"] = next(same, None) or now
