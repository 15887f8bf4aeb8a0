"""kubernetes_asyncio: typed APIs, a watch that is closed, the dynamic client, patches of every type."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from panal.tasks import spawn

from .objects import deployment, pod

pytestmark = pytest.mark.filterwarnings("ignore")


async def test_objects_are_written_watched_and_deleted(kubeconfig: Path, space: str) -> None:
    from kubernetes_asyncio import client, config, watch

    api = await config.new_client_from_config(str(kubeconfig))
    async with api:
        core = client.CoreV1Api(api)
        seen: list[tuple[str, str]] = []

        async def follow() -> None:
            async with watch.Watch().stream(core.list_namespaced_pod, space) as stream:
                async for event in stream:
                    seen.append((event["type"], event["object"].metadata.name))
                    if event["type"] == "DELETED":
                        return

        watching = spawn(follow(), name="watch")
        await core.create_namespaced_pod(space, pod("one"))
        await core.patch_namespaced_pod(
            "one", space, [{"op": "add", "path": "/metadata/labels/tier", "value": "front"}],
            _content_type="application/json-patch+json",
        )  # fmt: skip
        await core.patch_namespaced_pod_status(
            "one", space, {"status": {"phase": "Running"}}, _content_type="application/merge-patch+json"
        )
        while len(seen) < 3:
            await asyncio.sleep(0.02)
        await core.delete_namespaced_pod("one", space, grace_period_seconds=0)
        await asyncio.wait_for(watching, 30)
        assert seen == [("ADDED", "one"), ("MODIFIED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
        apps = client.AppsV1Api(api)
        await apps.create_namespaced_deployment(space, deployment("web"))
        applied = {**deployment("web", 5), "spec": {"replicas": 5}}
        await apps.patch_namespaced_deployment(
            "web", space, applied, field_manager="one", force=True, _content_type="application/apply-patch+yaml"
        )
        assert (await apps.read_namespaced_deployment_scale("web", space)).spec.replicas == 5
        with pytest.raises(client.ApiException, match="NotFound"):
            await core.read_namespaced_secret("nothing", space)
        await client.CustomObjectsApi(api).create_namespaced_custom_object(
            "clients.example.com", "v1", space, "widgets",
            {"apiVersion": "clients.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 2}},
        )  # fmt: skip


async def test_the_dynamic_client_finds_kinds(kubeconfig: Path, space: str) -> None:
    from kubernetes_asyncio import config, dynamic

    api = await config.new_client_from_config(str(kubeconfig))
    async with api, dynamic.DynamicClient(api) as found:
        widgets = await found.resources.get(api_version="clients.example.com/v1", kind="Widget")
        await widgets.create({"metadata": {"name": "w"}, "spec": {"size": 1}}, namespace=space)
        assert (await widgets.get(name="w", namespace=space)).spec.size == 1
        await widgets.delete(name="w", namespace=space)
        secrets = await found.resources.get(api_version="v1", kind="Secret")
        assert (await secrets.get(namespace=space)).items == []
