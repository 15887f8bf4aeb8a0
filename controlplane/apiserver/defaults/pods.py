"""Defaults of pods and pod templates: containers, probes, volumes, and the pod's own specification."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

FILE_MODE = 0o644
TOKEN_SECONDS = 3600


def pod(obj: Object) -> None:
    """A Pod. Unlike in a template, requests follow limits, and ports of the host's network are host ports."""
    spec = obj["spec"]
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in containers(spec):
        resources = container.get("resources") or {}
        if limits := resources.get("limits"):
            requests = resources.setdefault("requests", {})
            for name, amount in limits.items():
                requests.setdefault(name, amount)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port.get("containerPort", 0))


def template(found: Object) -> None:
    """A PodTemplateSpec."""
    pod_spec(found["spec"])


def containers(spec: Object) -> list[Object]:
    """The containers and init containers, in the order they are checked."""
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def pod_spec(spec: Object) -> None:
    for key, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("terminationGracePeriodSeconds", 30),
    ):
        spec.setdefault(key, value)
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for found in containers(spec):
        container(found)
    for found in spec.get("ephemeralContainers") or ():
        container(found)
    for found in spec.get("volumes") or ():
        volume(found)


def container(found: Object) -> None:
    found.setdefault("terminationMessagePath", "/dev/termination-log")
    found.setdefault("terminationMessagePolicy", "File")
    if not found.get("imagePullPolicy"):
        found["imagePullPolicy"] = pull_policy(found.get("image", ""))
    for port in found.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in found.get("env") or ():
        source = (variable.get("valueFrom") or {}).get("fieldRef")
        if source is not None:
            source.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in found:
            probe(found[name])
    for handler in (found.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _http_get(handler)


def pull_policy(image: str) -> str:
    """Always for the tag `latest`, also when that is only meant."""
    reference, digest, _ = image.partition("@")
    tag = reference.rpartition("/")[2].partition(":")[2]
    if not tag and not digest:
        tag = "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def probe(found: Object) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        found.setdefault(key, value)
    _http_get(found)
    if "grpc" in found:
        found["grpc"].setdefault("service", "")


def _http_get(handler: Object) -> None:
    if (action := handler.get("httpGet")) is not None:
        action.setdefault("path", "/")
        action.setdefault("scheme", "HTTP")


def volume(found: Object) -> None:
    if not any(key != "name" for key in found):
        found["emptyDir"] = {}
    for key in ("secret", "configMap", "downwardAPI", "projected"):
        if key in found:
            found[key].setdefault("defaultMode", FILE_MODE)
    _field_references(found.get("downwardAPI"))
    for source in (found.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", TOKEN_SECONDS)
        _field_references(source.get("downwardAPI"))
    if "hostPath" in found:
        found["hostPath"].setdefault("type", "")
    if "image" in found and not found["image"].get("pullPolicy"):
        found["image"]["pullPolicy"] = pull_policy(found["image"].get("reference", ""))
    if "iscsi" in found:
        found["iscsi"].setdefault("iscsiInterface", "default")
    claim = (found.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _field_references(source: Object | None) -> None:
    for item in (source or {}).get("items") or ():
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")
