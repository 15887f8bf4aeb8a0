"""An AdmissionReview: what a webhook is sent, and what its answer means (admission.k8s.io/v1). Pure."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from panal.errors import StatusError
from panal.resources import Resource

from ..admission import Attributes
from ..strategy import RequestContext

Object = dict[str, Any]

_VERSIONS = ("v1", "v1beta1")
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
_WARNING_BYTES = 4096


class Failure(Exception):
    """The webhook did not answer, or not with a review: its failure policy decides."""


@dataclass(frozen=True)
class Verdict:
    """An answer. `patch` are the operations of a JSON patch, None for no change."""

    allowed: bool
    patch: Any = None
    status: Object | None = None
    warnings: tuple[str, ...] = ()


def version(spec: Any) -> str:
    """The first version of AdmissionReview that both speak. Raises Failure."""
    for each in spec.get("admissionReviewVersions") or ():
        if each in _VERSIONS:
            return str(each)
    raise Failure("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def names(resource: Resource) -> tuple[dict[str, str], dict[str, str]]:
    """A resource's kind and its place, as reviews name them."""
    version = {"group": resource.group, "version": resource.version}
    return {**version, "kind": resource.kind}, {**version, "resource": resource.plural}


def request(ctx: RequestContext, asked: Attributes, uid: str, version: str) -> Object:
    kind, place = names(asked.resource)
    asked_kind, asked_place = names(asked.requested or asked.resource)
    if asked.options_kind:
        kind, asked_kind = ({**each, "kind": asked.options_kind} for each in (kind, asked_kind))
    below = {"subResource": asked.subresource, "requestSubResource": asked.subresource} if asked.subresource else {}
    deleting = asked.operation == "DELETE"
    user: Object = {"username": ctx.user, "groups": list(ctx.groups)}
    if ctx.extra:
        user["extra"] = {key: list(values) for key, values in ctx.extra.items()}
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"admission.k8s.io/{version}",
        "request": {
            "uid": uid,
            "kind": kind,
            "resource": place,
            "requestKind": asked_kind,
            "requestResource": asked_place,
            **below,
            "name": (asked.obj.get("metadata") or {}).get("name") or asked.name,
            **({"namespace": asked.namespace} if asked.namespace else {}),
            "operation": asked.operation,
            "userInfo": user,
            "object": None if deleting else asked.obj,
            "oldObject": asked.old,
            "dryRun": ctx.dry_run,
            "options": _options(ctx, asked.operation),
        },
    }


def _options(ctx: RequestContext, operation: str) -> Object | None:
    if operation not in _OPTIONS:
        return None
    options: Object = {"kind": _OPTIONS[operation], "apiVersion": "meta.k8s.io/v1"}
    if ctx.field_manager and operation != "DELETE":
        options["fieldManager"] = ctx.field_manager
    if ctx.dry_run:
        options["dryRun"] = ["All"]
    return options


def verdict(body: bytes, uid: str) -> Verdict:
    """Raises Failure for what is no answer to the request."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Failure(f"couldn't get version/kind; json parse error: {error}") from error
    answer = review.get("response") if isinstance(review, dict) else None
    if not isinstance(answer, dict):
        raise Failure("webhook response was absent")
    if answer.get("uid") != uid:
        raise Failure(f'expected response.uid="{uid}", got "{answer.get("uid", "")}"')
    warnings = tuple(str(each)[:_WARNING_BYTES] for each in answer.get("warnings") or ())
    status = answer.get("status") if isinstance(answer.get("status"), dict) else None
    return Verdict(answer.get("allowed") is True, _patch(answer), status, warnings)


def _patch(answer: Object) -> Any:
    if not answer.get("patch"):
        return None
    if answer.get("patchType") != "JSONPatch":
        raise Failure("webhook returned response.patch but not response.patchType=JSONPatch")
    try:
        return orjson.loads(base64.b64decode(answer["patch"], validate=True))
    except (ValueError, TypeError, binascii.Error) as error:
        raise Failure(f"the patch cannot be read: {error}") from error


def refusal(name: str, status: Object | None) -> StatusError:
    """The error of a webhook that does not allow it, in Kubernetes' words."""
    found = status or {}
    code, reason, message = found.get("code"), str(found.get("reason") or ""), str(found.get("message") or "")
    words = f'admission webhook "{name}" denied the request'
    why = message or reason
    text = f"{words}: {why}" if why else f"{words} without explanation"
    details = found.get("details") if isinstance(found.get("details"), dict) else None
    known = isinstance(code, int) and 400 <= code < 600
    return StatusError(text, code=code if known else 400, reason=reason, details=details)
