"""Static pods: the manifests in a folder of the node, as pods; and their mirrors in the API. Pure but for `read`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from panal import formats

from . import podspec
from .podspec import Pod

_log = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml", ".json")
LIMIT = 1 << 20
"""Bytes of a manifest at most."""


class ManifestError(ValueError):
    """A file that is no pod."""


def static_pod(manifest: Mapping[str, Any], node: str, now: float) -> dict[str, Any]:
    """The pod that a manifest describes on this node. The same manifest gives the same uid. Raises ManifestError."""
    if manifest.get("kind") != "Pod" or not isinstance(manifest.get("spec"), dict):
        raise ManifestError("not a Pod")
    meta = manifest.get("metadata") or {}
    if not isinstance(meta, dict) or not meta.get("name") or not manifest["spec"].get("containers"):
        raise ManifestError("a Pod needs a name and containers")
    for name in (f"{meta['name']}-{node}", str(meta.get("namespace") or "default")):
        if complaints := formats.subdomain_name(name):
            raise ManifestError(f"{name!r}: {complaints[0]}")
    identity = hashlib.sha256(node.encode() + b"\0" + orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS))
    uid = identity.hexdigest()[:32]
    notes = {**(meta.get("annotations") or {}), podspec.HASH: uid, podspec.SOURCE: "file"}
    notes[podspec.SEEN] = podspec.timestamp(now)
    spec = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, **manifest["spec"], "nodeName": node}
    spec["tolerations"] = [*(spec.get("tolerations") or ()), {"operator": "Exists", "effect": "NoExecute"}]
    spec["enableServiceLinks"] = spec.get("enableServiceLinks", True)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **meta,
            "name": f"{meta['name']}-{node}",
            "namespace": meta.get("namespace") or "default",
            "uid": uid,
            "annotations": notes,
        },
        "spec": spec,
        "status": {"phase": "Pending"},
    }


def mirror_of(pod: Pod, node: Mapping[str, Any]) -> dict[str, Any]:
    """The object in the API that shows a static pod; owned by the node."""
    meta = {key: value for key, value in pod["metadata"].items() if key not in ("uid", "creationTimestamp")}
    owner = {"apiVersion": "v1", "kind": "Node", "name": node["metadata"]["name"], "uid": node["metadata"]["uid"]}
    meta["annotations"] = {**podspec.notes(pod), podspec.MIRROR: podspec.notes(pod)[podspec.HASH]}
    meta["ownerReferences"] = [{**owner, "controller": True}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod["spec"]}


def mirrors(pod: Pod, mirror: Pod) -> bool:
    """Whether `mirror` shows this static pod as it is now."""
    return podspec.notes(mirror).get(podspec.MIRROR) == podspec.notes(pod)[podspec.HASH] and not podspec.deleted(mirror)


def read(folder: Path, node: str, now: float) -> dict[str, dict[str, Any]]:
    """Every static pod of the folder by uid. What cannot be read is logged and passed over."""
    found: dict[str, dict[str, Any]] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if path.suffix not in SUFFIXES or path.name.startswith("."):
            continue
        try:
            pod = static_pod(_parse(path), node, now)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("static pod %s: %s", path, error)
            continue
        found[podspec.uid(pod)] = pod
    return found


def _parse(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        text = stream.read(LIMIT + 1)
    if len(text) > LIMIT:
        raise ManifestError("too long")
    if path.suffix == ".json":
        manifest = orjson.loads(text)
    else:
        import yaml

        try:
            manifest = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ManifestError(str(error)) from error
    if not isinstance(manifest, dict):
        raise ManifestError("not an object")
    return manifest
