"""ServiceAccount: every pod runs as one, and finds its token, the cluster's CA and its namespace mounted."""

from __future__ import annotations

from typing import Any

from panal.errors import Forbidden
from panal.resources import PODS, SERVICEACCOUNTS

from .attributes import Attributes, Object, Reader

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_MIRROR = "kubernetes.io/config.mirror"
_TOKEN_SECONDS = 3607
"""An hour and seven seconds: the API server knows by the odd number that the token is the kubelet's to renew."""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What generated names are made of in Kubernetes: no vowels, so no words."""


def admit(attributes: Attributes, reader: Reader) -> None:
    if not attributes.creates(PODS) or _MIRROR in attributes.obj["metadata"].get("annotations", {}):
        return
    spec: Object = attributes.obj.setdefault("spec", {})
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = reader.get(SERVICEACCOUNTS, attributes.namespace, name)
    if account is None:
        pod = attributes.obj["metadata"].get("name", "")
        why = f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
        raise Forbidden(f'pods "{pod}" is forbidden: {why}', details={"name": pod, "kind": "pods"})
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    if _mounts_token(spec, account):
        _mount(spec, attributes)


def _mounts_token(spec: Object, account: Object) -> bool:
    for owner in (spec, account):
        wish = owner.get("automountServiceAccountToken")
        if wish is not None:
            return bool(wish)
    return True


def _mount(spec: Object, attributes: Attributes) -> None:
    """Add the token volume and its mounts, where a container has nothing there of its own."""
    volumes: list[Any] = spec.setdefault("volumes", [])
    existing = next((v["name"] for v in volumes if str(v.get("name", "")).startswith("kube-api-access-")), None)
    volume = existing or "kube-api-access-" + "".join(attributes.rng.choice(_LETTERS) for _ in range(5))
    used = False
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or ():
            mounts: list[Any] = container.setdefault("volumeMounts", [])
            if any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
                continue
            mounts.append({"name": volume, "readOnly": True, "mountPath": MOUNT_PATH})
            used = True
    if used and existing is None:
        volumes.append(_volume(volume))


def _volume(name: str) -> Object:
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                            }
                        ]
                    }
                },
            ],
            "defaultMode": 420,
        },
    }
