"""What is asked of a conversion webhook, and what its answer must be. Pure.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#webhook-conversion
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import orjson

from panal.errors import StatusError
from panal.resources import Resource

from ..cache import Item
from ..validation import meta

Object = dict[str, Any]

VERSIONS = ("v1", "v1beta1")
"""Of ConversionReview."""


class Conversions(Protocol):
    """Who asks the webhooks."""

    async def settle(self, resource: Resource, items: Callable[[], Iterable[Item]]) -> None:
        """See that each item can be shown as that resource right when this returns. Raises StatusError (500)."""

    async def to_store(self, resource: Resource, obj: Object) -> Object:
        """A copy of the object in the version that is stored. Raises StatusError (500)."""


class Wrong(Exception):
    """An answer that is no conversion."""


def failed(words: str) -> StatusError:
    """The answer to a request whose objects cannot be converted: Kubernetes gives no reason."""
    return StatusError(words, reason="")


def kind_of(obj: Object) -> str:
    """As messages tell it."""
    return f"{obj.get('apiVersion', '')}, Kind={obj.get('kind', '')}"


def review(webhook: Object, objects: Sequence[Object], version: str, uid: str) -> Object:
    """The ConversionReview. `version` is the apiVersion wanted. Raises Wrong for reviews of unknown versions only."""
    known = [each for each in webhook.get("conversionReviewVersions") or () if each in VERSIONS]
    if not known:
        raise Wrong("no supported conversion review versions")
    return {
        "kind": "ConversionReview",
        "apiVersion": f"apiextensions.k8s.io/{known[0]}",
        "request": {"uid": uid, "desiredAPIVersion": version, "objects": list(objects)},
    }


def answered(raw: bytes, asked: Object) -> list[Any]:
    """The objects of an answer. Raises Wrong."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Wrong(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(found, dict):
        raise Wrong("couldn't get version/kind; json parse error: no object")
    strict = asked["apiVersion"].endswith("/v1")
    if strict and (found.get("apiVersion"), found.get("kind")) != (asked["apiVersion"], asked["kind"]):
        raise Wrong(f"expected webhook response of {kind_of(asked)}, got {kind_of(found)}")
    response = found.get("response")
    if not isinstance(response, dict):
        raise Wrong("no response provided")
    if strict and response.get("uid") != asked["request"]["uid"]:
        raise Wrong(f'expected response.uid="{asked["request"]["uid"]}", got "{response.get("uid", "")}"')
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        raise Wrong(
            str(result.get("message") or f"response.result.status was '{result.get('status', '')}', not 'Success'")
        )
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


def taken(original: Object, made: Any, version: str) -> Object:
    """A converted object as it is taken over: its metadata is the original's but for labels and annotations.

    Raises Wrong, whose words follow "conversion webhook for KIND returned invalid ".
    """
    if not isinstance(made, dict):
        raise Wrong(f"object at index 0: invalid type, expected=Unstructured, got={_type(made)}")
    if made.get("apiVersion") != version:
        raise Wrong(
            f"object at index 0: invalid groupVersion (expected {version}, received {made.get('apiVersion', '')})"
        )
    if made.get("kind") != original["kind"]:
        raise Wrong(f"object at index 0: invalid kind (expected {original['kind']}, received {made.get('kind', '')})")
    metadata = made.get("metadata")
    if "metadata" not in made:
        raise Wrong("metadata: missing metadata in converted object")
    if not isinstance(metadata, dict):
        raise Wrong(f"metadata: invalid metadata of type {_type(metadata)} in converted object")
    for key, name in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        mine, theirs = original["metadata"].get(key, ""), metadata.get(key, "")
        if mine != theirs:
            raise Wrong(f"object: must have the same {name}: {mine} != {theirs}")
    return {**made, "metadata": _metadata(original["metadata"], metadata)}


def _metadata(original: Object, made: Object) -> Object:
    kept = {key: value for key, value in original.items() if key not in ("labels", "annotations")}
    for field, check in (("labels", meta.labels), ("annotations", meta.annotations_)):
        found = made.get(field)
        if found is None:
            continue
        if not isinstance(found, dict):
            raise Wrong(f"metadata: invalid metadata.{field} of type {_type(found)} in converted object")
        for key, value in found.items():
            if not isinstance(value, str):
                words = f"metadata.{field}[{key}] must be a string, but is {_type(value)} in converted object"
                raise Wrong(f"metadata: {words}")
        if found != original.get(field) and (errors := check(found, f"metadata.{field}")):
            told = [str(each) for each in errors]
            raise Wrong("metadata: " + (told[0] if len(told) == 1 else f"[{', '.join(told)}]"))
        kept[field] = found
    return kept


_TYPES = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


def _type(value: Any) -> str:
    """A JSON value's type, as Go prints it with %T."""
    return _TYPES.get(type(value), "<nil>")
