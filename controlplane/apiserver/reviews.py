"""Reviews: resources that are questions about users and rights. They are answered and never stored.

authentication.k8s.io/v1 and authorization.k8s.io/v1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from panal.errors import BadRequest

from . import bodies
from .answers import Answer
from .apply import track_update
from .authn import User
from .authz import Attributes
from .context import Call, Parts
from .fielderrors import FieldError, bad, invalid
from .handlers import Handler
from .tokens import TokenError


async def _read(call: Call) -> dict[str, Any]:
    raw = await bodies.read(call.http)
    review = bodies.decode(raw, bodies.media_type(call.http), call.resource.kind, call.resource.api_version)
    for part in ("metadata", "spec"):
        if not isinstance(review.get(part), dict):
            review[part] = {}
    return review


def _answer(call: Call, review: dict[str, Any], status: dict[str, Any]) -> Answer:
    kind, version = call.resource.kind, call.resource.api_version
    answer: dict[str, Any] = {"kind": kind, "apiVersion": version, "metadata": {}, "spec": review["spec"]}
    track_update(call.resource, None, answer, manager=call.manager, now=call.timestamp)
    return Answer(orjson.dumps({**answer, "status": status}), 201)


async def self_subject(parts: Parts, call: Call) -> Answer:
    await bodies.read(call.http)
    answer = {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": call.timestamp},
        "status": {"userInfo": call.user.info()},
    }
    return Answer(orjson.dumps(answer), 201)


async def token(parts: Parts, call: Call) -> Answer:
    review = await _read(call)
    if not review["spec"].get("token"):
        raise BadRequest("token is required for TokenReview in authentication")
    wanted = review["spec"].get("audiences") or []
    if not isinstance(wanted, list):
        raise BadRequest("the TokenReview's audiences are not a list")
    audiences = tuple(str(each) for each in wanted) or (parts.keys.issuer,)
    try:
        user = parts.authenticator.token(str(review["spec"].get("token", "")), audiences)
    except TokenError as error:
        return _answer(call, review, {"user": {}, "error": f"invalid bearer token, {error}"})
    return _answer(call, review, {"authenticated": True, "user": user.info(), "audiences": list(audiences)})


async def self_access(parts: Parts, call: Call) -> Answer:
    review = await _read(call)
    _check(call, review, _attributes(review["spec"]))
    return _answer(call, review, _decide(parts, call.user, review["spec"]))


async def access(parts: Parts, call: Call) -> Answer:
    review = await _read(call)
    spec = review["spec"]
    groups = spec.get("groups") or []
    errors = _attributes(spec)
    if not isinstance(groups, list) or not (spec.get("user") or groups):
        errors.append(bad("spec.user", "", "at least one of user or group must be specified"))
    attributes = spec.get("resourceAttributes")
    local = call.resource.namespaced and isinstance(attributes, dict)
    own = str(review["metadata"].get("namespace") or call.namespace)
    if local and attributes.get("namespace") != own:
        errors.append(bad("spec.resourceAttributes.namespace", attributes.get("namespace", ""), _ELSEWHERE))
    _check(call, review, errors)
    if local and own != call.namespace:
        raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {call.namespace}")
    user = User(str(spec.get("user", "")), tuple(str(each) for each in groups))
    return _answer(call, review, _decide(parts, user, spec))


_ELSEWHERE = "must match metadata.namespace"


def _attributes(spec: dict[str, Any]) -> list[FieldError]:
    """What is wrong with what is asked about."""
    path, thing = spec.get("nonResourceAttributes"), spec.get("resourceAttributes")
    if path is not None and thing is not None:
        words = "cannot be specified in combination with resourceAttributes"
        return [bad("spec.nonResourceAttributes", path, words)]
    if not isinstance(path, dict) and not isinstance(thing, dict):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [bad("spec.resourceAttributes", "null", words)]
    return []


def _check(call: Call, review: dict[str, Any], errors: list[FieldError]) -> None:
    """Raises Invalid, which tells no kind: Kubernetes has none at hand here."""
    extra = {key: each for key, each in review["metadata"].items() if key not in _OWN and each}
    if extra:
        errors.append(bad("metadata", extra, "must be empty"))
    if errors:
        raise invalid("", call.resource.group, "", errors)


_OWN = ("managedFields", "namespace", "creationTimestamp")


def _decide(parts: Parts, user: User, spec: dict[str, Any]) -> dict[str, Any]:
    path, thing = spec.get("nonResourceAttributes"), spec.get("resourceAttributes")
    if isinstance(path, dict):
        asked = Attributes(str(path.get("verb", "")), path=str(path.get("path", "")))
    elif isinstance(thing, dict):
        named = {key: str(thing.get(key) or "") for key in ("group", "resource", "subresource", "namespace", "name")}
        asked = Attributes(str(thing.get("verb") or ""), **named)
    else:
        raise AssertionError("_attributes lets no other review through")
    allowed = parts.authorizer.allowed(user, asked)
    return {"allowed": allowed}


async def self_rules(parts: Parts, call: Call) -> Answer:
    review = await _read(call)
    namespace = str(review["spec"].get("namespace") or "")
    if not namespace:
        raise BadRequest("no namespace on request")
    things: list[dict[str, Any]] = []
    paths: list[dict[str, Any]] = []
    for grant in parts.authorizer.grants(call.user):
        if grant.namespace not in ("", namespace):
            continue
        (paths if grant.rule.get("nonResourceURLs") else things).append(dict(grant.rule))
    return _answer(call, review, {"resourceRules": things, "nonResourceRules": paths, "incomplete": False})


async def bind_by_name(parts: Parts, call: Call) -> Answer:
    """POST bindings: the old way to bind a pod, whose name is in the body."""
    from . import subresources

    raw = await bodies.read(call.http)
    binding = bodies.decode(raw, bodies.media_type(call.http), "Binding", "v1")
    metadata = binding.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadRequest("the Binding's metadata is not an object")
    name = str(metadata.get("name") or "")
    from panal.resources import PODS

    target = dataclasses.replace(call.target, name=name, subresource="binding")
    return await subresources.assign(parts, dataclasses.replace(call, target=target, resource=PODS), binding)


_REVIEWS: dict[str, Handler] = {
    "selfsubjectreviews": self_subject,
    "tokenreviews": token,
    "selfsubjectaccessreviews": self_access,
    "subjectaccessreviews": access,
    "localsubjectaccessreviews": access,
    "selfsubjectrulesreviews": self_rules,
    "bindings": bind_by_name,
}


def find(plural: str) -> Handler | None:
    """The handler of a resource that is never stored."""
    return _REVIEWS.get(plural)
