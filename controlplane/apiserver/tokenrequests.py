"""TokenRequest: a service account's signed token, bound to a pod, node or Secret if asked."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from panal.errors import BadRequest, conflict, not_found
from panal.resources import NODES, PODS, SECRETS, Resource

from . import bodies
from .answers import Answer
from .clock import timestamp
from .context import Call, Parts
from .fielderrors import FieldError, bad, invalid

_DEFAULT_SECONDS = 3600
_SHORTEST, _LONGEST = 600, 1 << 32
_LIVES_AT_MOST = 365 * 24 * 3600
"""A year: longer wishes are cut."""


async def create(parts: Parts, call: Call) -> Answer:
    """POST serviceaccounts/NAME/token."""
    raw = await bodies.read(call.http)
    request = bodies.decode(raw, bodies.media_type(call.http), "TokenRequest", "authentication.k8s.io/v1")
    spec = request.get("spec") or {}
    seconds = _seconds(spec)
    account = parts.reader.get(call.resource, call.namespace, call.target.name).decode()
    claims = _claims(parts, call, account, spec, seconds)
    audiences = claims["aud"]
    answer = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": call.target.name,
            "namespace": call.namespace,
            "creationTimestamp": call.timestamp,
        },
        "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
        "status": {"token": parts.keys.sign(claims), "expirationTimestamp": timestamp(claims["exp"])},
    }
    return Answer(orjson.dumps(answer), 201)


def _seconds(spec: dict[str, Any]) -> int:
    value = spec.get("expirationSeconds")
    value = _DEFAULT_SECONDS if value is None else value
    errors: list[FieldError] = []
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest("spec.expirationSeconds is not an integer")
    if value < _SHORTEST:
        errors.append(bad("spec.expirationSeconds", value, "may not specify a duration less than 10 minutes"))
    if value > _LONGEST:
        errors.append(bad("spec.expirationSeconds", value, "may not specify a duration larger than 2^32 seconds"))
    if errors:
        raise invalid("TokenRequest", "authentication.k8s.io", "", errors)
    return min(value, _LIVES_AT_MOST)


def _claims(parts: Parts, call: Call, account: dict[str, Any], spec: dict[str, Any], seconds: int) -> dict[str, Any]:
    now = int(parts.now())
    name, uid = account["metadata"]["name"], account["metadata"]["uid"]
    private: dict[str, Any] = {"namespace": call.namespace}
    reference = spec.get("boundObjectRef")
    if isinstance(reference, dict) and reference.get("kind") == "Pod":
        private |= _pod(parts, call, str(reference.get("name", "")), str(reference.get("uid", "")), name)
    elif isinstance(reference, dict) and reference.get("kind") in _BOUND:
        private |= _bound(parts, call, reference)
    elif reference:
        shown = f"{reference.get('apiVersion')}, Kind={reference.get('kind')}" if isinstance(reference, dict) else ""
        raise BadRequest(f"cannot bind token to object of type /{shown}")
    private["serviceaccount"] = {"name": name, "uid": uid}
    audiences = spec.get("audiences") or [parts.keys.issuer]
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise BadRequest("spec.audiences is not a list of strings")
    return {
        "aud": audiences,
        "exp": now + seconds,
        "iat": now,
        "iss": parts.keys.issuer,
        "jti": str(uuid.UUID(int=parts.rng.getrandbits(128), version=4)),
        "kubernetes.io": private,
        "nbf": now,
        "sub": f"system:serviceaccount:{call.namespace}:{name}",
    }


_BOUND = {"Node": NODES, "Secret": SECRETS}


def _bound(parts: Parts, call: Call, reference: dict[str, Any]) -> dict[str, Any]:
    resource, name, uid = _BOUND[reference["kind"]], str(reference.get("name", "")), reference.get("uid")
    item = parts.reader.shelf(resource).get(call.namespace if resource.namespaced else "", name)
    if item is None:
        raise not_found(resource.plural, "", name)
    actual = item.decode()["metadata"]["uid"]
    _same(resource, name, str(uid or ""), actual)
    return {reference["kind"].lower(): {"name": name, "uid": actual}}


def _same(resource: Resource, name: str, wanted: str, actual: str) -> None:
    """Raises Conflict where the reference means an object that is gone."""
    if wanted and wanted != actual:
        why = (
            f"the UID in the bound object reference ({wanted}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource.plural, "", name, why)


def _pod(parts: Parts, call: Call, name: str, uid: str, account: str) -> dict[str, Any]:
    item = parts.reader.shelf(PODS).get(call.namespace, name)
    if item is None:
        raise not_found("pods", "", name)
    pod = item.decode()
    actual = pod["metadata"]["uid"]
    _same(PODS, name, uid, actual)
    if (pod["spec"].get("serviceAccountName") or "default") != account:
        why = f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
        raise BadRequest(why)
    found: dict[str, Any] = {}
    node = parts.reader.shelf(NODES).get("", pod["spec"].get("nodeName") or "")
    if node is not None:
        found["node"] = {"name": node.name, "uid": node.decode()["metadata"]["uid"]}
    found["pod"] = {"name": name, "uid": actual}
    return found
