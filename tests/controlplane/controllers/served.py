"""What a few controllers ask of the API beyond objects: discovery, whole collections, Scales, metrics, reviews."""

from __future__ import annotations

from typing import Any

import orjson

from panal.controlplane.controllers.meta import is_deleting, labels, metadata, name, spec, timestamp
from panal.controlplane.controllers.pods import is_ready
from panal.resources import CONFIGMAPS, DEPLOYMENTS, PODS, REPLICASETS, SECRETS, Resource

from .world import Api, Object

KINDS = (CONFIGMAPS, SECRETS, PODS, DEPLOYMENTS, REPLICASETS)
VERBS = ["create", "delete", "deletecollection", "get", "list", "watch"]


class Served(Api):
    """`load` is shared by the pods, in thousandths of a core; `rights` are what everybody may."""

    def __init__(self) -> None:
        super().__init__()
        self.load = 0
        self.rights: set[str] = set()

    async def get(self, resource: Resource, wanted: str, namespace: str | None = None, *, subresource: str = "") -> Any:
        found = await super().get(resource, wanted, namespace)
        if subresource != "scale":
            return found
        chosen = ",".join(f"{key}={value}" for key, value in spec(found)["selector"]["matchLabels"].items())
        status = {"replicas": spec(found)["replicas"], "selector": chosen}
        return {"metadata": metadata(found), "spec": {"replicas": spec(found)["replicas"]}, "status": status}

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        if subresource != "scale":
            return await super().update(resource, obj, subresource=subresource)
        found = await super().get(resource, name(obj), metadata(obj)["namespace"])
        version = {**metadata(found), "resourceVersion": metadata(obj)["resourceVersion"]}
        return await super().update(resource, {**found, "metadata": version, "spec": {**spec(found), **spec(obj)}})

    async def request(self, method: str, path: str, *, body: bytes = b"", headers: Any = None) -> bytes:
        if path in ("/api", "/apis"):
            return orjson.dumps(_discovery(core=path == "/api"))
        if path.startswith("/apis/metrics.k8s.io"):
            return orjson.dumps({"items": self._metrics()})
        if path.endswith("subjectaccessreviews"):
            asked = orjson.loads(body)["spec"]["resourceAttributes"]["subresource"]
            return orjson.dumps({"status": {"allowed": asked in self.rights}})
        resource = next(item for item in KINDS if path.endswith(f"/{item.plural}"))
        namespace = path.split("/namespaces/")[1].split("/")[0]
        if method == "DELETE":
            for obj in (await self.list(resource, namespace))["items"]:
                if not is_deleting(obj):
                    await self.delete(resource, name(obj), namespace, grace_seconds=0)
        return orjson.dumps(await self.list(resource, namespace))

    def _metrics(self) -> list[Object]:
        serving = [pod for pod in self.all(PODS) if is_ready(pod) and not is_deleting(pod)]
        share = f"{self.load * 1_000_000 // max(len(serving), 1)}n"
        return [
            {
                "metadata": {"name": name(pod), "labels": labels(pod)},
                "timestamp": timestamp(self.now()),
                "window": "15s",
                "containers": [{"name": "c", "usage": {"cpu": share, "memory": "1Mi"}}],
            }
            for pod in serving
        ]


def _discovery(*, core: bool) -> Object:
    found: dict[str, list[Resource]] = {}
    for item in KINDS:
        if (item.group == "") == core:
            found.setdefault(item.group, []).append(item)
    return {
        "kind": "APIGroupDiscoveryList",
        "items": [
            {
                "metadata": {"name": group},
                "versions": [
                    {
                        "version": "v1",
                        "resources": [
                            {
                                "resource": item.plural,
                                "responseKind": {"kind": item.kind},
                                "scope": "Namespaced",
                                "verbs": VERBS,
                            }
                            for item in items
                        ],
                    }
                ],
            }
            for group, items in found.items()
        ],
    }
