"""What the test webhook answers to an AdmissionReview: pure, from the request to the response, one function a path."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Answer = dict[str, Any]
"""The response of a review, without its uid."""

ALLOWED: Answer = {"allowed": True}


def denied(message: str) -> Answer:
    return {"allowed": False, "status": {"metadata": {}, "message": message}}


def for_reason(reason: str) -> Answer:
    return {"allowed": False, "status": {"metadata": {}, "reason": reason}}


def patched(*operations: Mapping[str, Any]) -> Answer:
    if not operations:
        return ALLOWED
    text = json.dumps(operations).encode()
    return {"allowed": True, "patch": base64.b64encode(text).decode(), "patchType": "JSONPatch"}


def always_deny(request: Mapping[str, Any]) -> Answer:
    return denied("this webhook denies all requests")


def add_label(request: Mapping[str, Any]) -> Answer:
    labels = _metadata(request).get("labels") or {}
    if labels.get("added-label") == "yes":
        return ALLOWED
    if not labels:
        return patched({"op": "add", "path": "/metadata/labels", "value": {"added-label": "yes"}})
    verb = "replace" if "added-label" in labels else "add"
    return patched({"op": verb, "path": "/metadata/labels/added-label", "value": "yes"})


def pods(request: Mapping[str, Any]) -> Answer:
    """Refuses an unwanted label and unwanted container names; `wait-forever` is the server's business."""
    if (wrong := _expect(request, "pods")) is not None:
        return wrong
    words = []
    label = (_metadata(request).get("labels") or {}).get("webhook-e2e-test")
    if label == "webhook-disallow":
        words.append("the pod contains unwanted label;")
    words += [
        "the pod contains unwanted container name;"
        for container in _containers(request, "containers")
        if "webhook-disallow" in container.get("name", "")
    ]
    return denied(" ".join(words)) if words else ALLOWED


def waits_forever(request: Mapping[str, Any]) -> bool:
    return bool((_metadata(request).get("labels") or {}).get("webhook-e2e-test") == "wait-forever")


def attaching_pods(request: Mapping[str, Any]) -> Answer:
    if request.get("name") != "to-be-attached-pod":
        return ALLOWED
    if (wrong := _expect(request, "pods")) is not None:
        return wrong
    if request.get("subResource") != "attach":
        return denied(f"expect subresource to be attach, got {request.get('subResource', '')}")
    options = request.get("object") or {}
    if not options.get("stdin") or options.get("container") != "container1":
        return ALLOWED
    return denied("attaching to pod 'to-be-attached-pod' is not allowed")


def mutating_pods(request: Mapping[str, Any]) -> Answer:
    name = "webhook-added-init-container"
    if (wrong := _expect(request, "pods")) is not None:
        return wrong
    if _metadata(request).get("name") != "webhook-to-be-mutated" or _named(request, "initContainers", name):
        return ALLOWED
    added = {"image": "webhook-added-image", "name": name, "resources": {}}
    return patched({"op": "add", "path": "/spec/initContainers", "value": [added]})


def sidecar(image: str) -> Callable[[Mapping[str, Any]], Answer]:
    """What adds a container with this image to every pod."""
    name = "webhook-added-sidecar"

    def mutate(request: Mapping[str, Any]) -> Answer:
        if not image:
            status = {"status": "Failure", "message": "No image specified by the sidecar-image parameter", "code": 500}
            return {"allowed": False, "status": status}
        if (wrong := _expect(request, "pods")) is not None:
            return wrong
        if _named(request, "containers", name):
            return ALLOWED
        added = {"image": image, "name": name, "resources": {}}
        return patched({"op": "add", "path": "/spec/containers/-", "value": added})

    return mutate


def configmaps(request: Mapping[str, Any]) -> Answer:
    wrong = _expect(request, "configmaps")
    return wrong or _unwanted(
        request,
        "the configmap contains unwanted key and value",
        "the configmap cannot be deleted because it contains unwanted key and value",
    )


def custom_resource(request: Mapping[str, Any]) -> Answer:
    return _unwanted(
        request,
        "the custom resource contains unwanted data",
        "the custom resource cannot be deleted because it contains unwanted key and value",
    )


def mutating_configmaps(request: Mapping[str, Any]) -> Answer:
    return _expect(request, "configmaps") or mutating_custom_resource(request)


def mutating_custom_resource(request: Mapping[str, Any]) -> Answer:
    """Two stages: the second follows when the first one's mark is there."""
    data = (request.get("object") or {}).get("data") or {}
    if data.get("mutation-stage-1") == "yes":
        return patched({"op": "add", "path": "/data/mutation-stage-2", "value": "yes"})
    if data.get("mutation-start") == "yes":
        return patched({"op": "add", "path": "/data/mutation-stage-1", "value": "yes"})
    return ALLOWED


def crd(request: Mapping[str, Any]) -> Answer:
    if (wrong := _expect(request, "customresourcedefinitions")) is not None:
        return wrong
    if (_metadata(request).get("labels") or {}).get("webhook-e2e-test") == "webhook-disallow":
        return denied("the crd contains unwanted label")
    return ALLOWED


def _unwanted(request: Mapping[str, Any], unwanted: str, kept: str) -> Answer:
    operation = request.get("operation")
    found = request.get("oldObject" if operation == "DELETE" else "object") or {}
    mark = (found.get("data") or {}).get("webhook-e2e-test")
    if mark == "webhook-disallow" and operation in ("CREATE", "UPDATE"):
        return for_reason(unwanted)
    if mark == "webhook-nondeletable" and operation == "DELETE":
        return for_reason(kept)
    return ALLOWED


def _expect(request: Mapping[str, Any], resource: str) -> Answer | None:
    got = (request.get("resource") or {}).get("resource", "")
    return None if got == resource else denied(f"expect resource to be {resource} but got {got}")


def _metadata(request: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (request.get("object") or {}).get("metadata") or {}
    return found


def _containers(request: Mapping[str, Any], field: str) -> Iterable[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = ((request.get("object") or {}).get("spec") or {}).get(field) or ()
    return found


def _named(request: Mapping[str, Any], field: str, name: str) -> bool:
    return any(container.get("name") == name for container in _containers(request, field))
