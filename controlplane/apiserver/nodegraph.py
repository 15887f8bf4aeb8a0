"""The node authorizer's graph: a kubelet reads only what the pods bound to its node refer to.

https://kubernetes.io/docs/reference/access-authn-authz/node/. What a pod refers to is read once for each of its
revisions. Mirror pods refer to nothing: a node that makes them would give itself rights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from panal.resources import PERSISTENTVOLUMES, PODS

from . import keys
from .cache import Cache, Item

if TYPE_CHECKING:
    from .authz import Attributes

_USER, _GROUP = "system:node:", "system:nodes"
_MIRROR = "kubernetes.io/config.mirror"
_READ = frozenset(("get", "list", "watch"))

Reference = tuple[str, str]
"""(resource, name) in the pod's namespace."""


def node_of(user: str, groups: tuple[str, ...]) -> str:
    """The node whose kubelet the user is, "" for anybody else."""
    return user.removeprefix(_USER) if _GROUP in groups and user.startswith(_USER) else ""


class NodeGraph:
    """From nodes over their pods to what those refer to."""

    def __init__(self, cache: Cache) -> None:
        self._pods = cache.shelf(keys.location(PODS))
        self._volumes = cache.shelf(keys.location(PERSISTENTVOLUMES))
        self._known: dict[str, dict[str, tuple[Item, str, frozenset[Reference]]]] = {}
        """By namespace and pod: the pod it was read from, its node, what it refers to."""

    def opinion(self, node: str, asked: Attributes) -> str | None:
        """ "" where the node may, why it may not, or None where the graph has no say."""
        match asked.group, asked.resource:
            case "", ("secrets" | "configmaps"):
                return self._read(node, asked)
            case "", "persistentvolumeclaims" if asked.subresource:
                return self._claim_status(node, asked)
            case ("", "persistentvolumeclaims") | ("resource.k8s.io", "resourceclaims"):
                return _got(asked) or self._related(node, asked)
            case "", "persistentvolumes":
                return _got(asked) or self._volume(node, asked)
            case "", "serviceaccounts" if asked.verb != "get" or asked.subresource:
                return _token(asked) or self._related(node, asked)
        return None

    def _read(self, node: str, asked: Attributes) -> str:
        if asked.verb not in _READ:
            return "can only read resources of this type"
        if asked.subresource:
            return "cannot read subresource"
        if not asked.namespace:
            return "can only read namespaced object of this type"
        return self._related(node, asked)

    def _claim_status(self, node: str, asked: Attributes) -> str:
        if asked.verb not in ("get", "update", "patch"):
            return "can only get/update/patch this type"
        if asked.subresource != "status":
            return "can only update status subresource"
        return self._related(node, asked)

    def _related(self, node: str, asked: Attributes) -> str:
        if not asked.name:
            return "No Object name found"
        if self._refers(node, asked.namespace, (asked.resource, asked.name)):
            return ""
        return _unrelated(node)

    def _volume(self, node: str, asked: Attributes) -> str:
        """A volume is related by the claim that it is bound to."""
        item = self._volumes.get("", asked.name)
        claim = (item.decode().get("spec") or {}).get("claimRef") or {} if item is not None else {}
        wanted = ("persistentvolumeclaims", str(claim.get("name", "")))
        return "" if claim and self._refers(node, str(claim.get("namespace", "")), wanted) else _unrelated(node)

    def _refers(self, node: str, namespace: str, wanted: Reference) -> bool:
        known, now, found = self._known.get(namespace, {}), {}, False
        for item in self._pods.list(namespace):
            entry = known.get(item.name)
            if entry is None or entry[0] is not item:
                pod = item.decode()
                entry = (item, str((pod.get("spec") or {}).get("nodeName", "")), frozenset(references(pod)))
            now[item.name] = entry
            found = found or (entry[1] == node and wanted in entry[2])
        self._known[namespace] = now
        if not now:
            del self._known[namespace]
        return found


def _got(asked: Attributes) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    return "cannot get subresource" if asked.subresource else ""


def _token(asked: Attributes) -> str:
    if asked.verb != "create" or not asked.name:
        return "can only create tokens for individual service accounts"
    return "" if asked.subresource == "token" else "can only create token subresource of serviceaccount"


def _unrelated(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"


def references(pod: Mapping[str, Any]) -> Iterator[Reference]:
    """What a pod refers to in its namespace."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    if _MIRROR in (metadata.get("annotations") or {}):
        return
    if spec.get("serviceAccountName"):
        yield "serviceaccounts", spec["serviceAccountName"]
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _environment(container)
    for volume in spec.get("volumes") or ():
        yield from _volume(volume, str(metadata.get("name", "")))
    for claim in (*(spec.get("resourceClaims") or ()), *((pod.get("status") or {}).get("resourceClaimStatuses") or ())):
        yield "resourceclaims", claim.get("resourceClaimName", "")


def _environment(container: Mapping[str, Any]) -> Iterator[Reference]:
    for source in container.get("envFrom") or ():
        for key, resource in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if source.get(key):
                yield resource, source[key].get("name", "")
    for variable in container.get("env") or ():
        for key, resource in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            found = (variable.get("valueFrom") or {}).get(key)
            if found:
                yield resource, found.get("name", "")


def _volume(volume: Mapping[str, Any], pod: str) -> Iterator[Reference]:
    projected = (volume.get("projected") or {}).get("sources") or ()
    for source in (volume, *projected):
        if found := source.get("secret"):
            yield "secrets", found.get("secretName") or found.get("name", "")
        if found := source.get("configMap"):
            yield "configmaps", found.get("name", "")
    if claim := volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", claim.get("claimName", "")
    if volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod}-{volume.get('name', '')}"
    for source in volume.values():
        if isinstance(source, dict):
            for key in ("secretRef", "nodePublishSecretRef"):
                if isinstance(source.get(key), dict):
                    yield "secrets", source[key].get("name", "")
            if source.get("secretName"):
                yield "secrets", source["secretName"]
