"""A process that runs as its pod would: with its service account's token, and the rights its manifests give it."""

from __future__ import annotations

import os
from pathlib import Path

from panal.addons import addons
from panal.client import Client
from panal.errors import AlreadyExists
from panal.paths import ClusterPaths
from panal.resources import SERVICEACCOUNTS, all_resources

from ...onenode import ONE_NODE
from ..apiserver.http.conftest import ApiServer

RIGHTS = {
    "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
    "IngressClass", "ConfigMap",
}  # fmt: skip


async def grant(client: Client, home: Path) -> None:
    """Create what the cluster's own manifests say about rights, and the ingress' class."""
    kinds = {(found.kind, found.api_version): found for found in all_resources()}
    for obj in addons(ONE_NODE, ClusterPaths(home)):
        if obj["kind"] in RIGHTS:
            try:
                await client.create(kinds[obj["kind"], obj["apiVersion"]], obj)
            except AlreadyExists:
                continue


async def environment(apiserver: ApiServer, client: Client, account: str, namespace: str) -> dict[str, str]:
    """The environment of a pod of this service account, its files under $PANAL_ROOT as in the plain runtime."""
    await grant(client, apiserver.home)
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = await client.create(SERVICEACCOUNTS, wanted, namespace, name=account, subresource="token")
    root = apiserver.home / account
    folder = root / "var/run/secrets/kubernetes.io/serviceaccount"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.crt").write_bytes(apiserver.authority.certificate)
    (folder / "token").write_text(token["status"]["token"])
    return {
        **os.environ,
        "PANAL_ROOT": str(root),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(apiserver.port),
    }
