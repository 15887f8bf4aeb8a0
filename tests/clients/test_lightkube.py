"""lightkube as its users use it: typed resources, generic ones, apply, paging, watches and waiting."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from .conftest import until
from .objects import deployment, pod

pytestmark = pytest.mark.filterwarnings("ignore")


def test_objects_are_created_listed_in_pages_changed_and_deleted(kubeconfig: Path, space: str) -> None:
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap, Pod
    from lightkube.types import PatchType

    client = Client(config=KubeConfig.from_file(kubeconfig), namespace=space, field_manager="lightkube")
    for index in range(5):
        client.create(ConfigMap(metadata=ObjectMeta(name=f"c{index}", labels={"of": "pages"}), data={"a": "b"}))
    listed = client.list(ConfigMap, labels={"of": "pages"}, chunk_size=2)
    assert [each.metadata.name for each in listed] == ["c0", "c1", "c2", "c3", "c4"]
    assert listed.resourceVersion.isdecimal()
    with pytest.raises(ApiError) as raised:
        client.create(ConfigMap(metadata=ObjectMeta(name="c0")))
    assert (raised.value.status.reason, raised.value.status.code) == ("AlreadyExists", 409)
    assert raised.value.status.details.kind == "configmaps"
    changed = client.patch(ConfigMap, "c0", {"data": {"a": None, "b": "c"}}, patch_type=PatchType.MERGE)
    assert changed.data == {"b": "c"}
    client.deletecollection(ConfigMap)
    assert list(client.list(ConfigMap)) == []

    client.create(Deployment.from_dict(deployment("web", 2)))
    scale = client.get(Deployment.Scale, "web")
    scale.spec.replicas = 3
    client.replace(scale, "web")
    assert client.get(Deployment, "web").spec.replicas == 3
    client.create(Pod.from_dict(pod("one")))
    assert [each.metadata.name for each in client.list(Pod, fields={"status.phase": "Pending"})] == ["one"]


def test_manifests_are_applied_and_conflicts_are_told(kubeconfig: Path, space: str) -> None:
    from lightkube import ApiError, Client, KubeConfig, codecs

    client = Client(config=KubeConfig.from_file(kubeconfig), namespace=space)
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {a: "1"}
---
apiVersion: v1
kind: Service
metadata: {name: applied}
spec: {selector: {app: a}, ports: [{port: 80}]}
"""
    for manifest in codecs.load_all_yaml(text):
        client.apply(manifest, field_manager="one")
    other = next(iter(codecs.load_all_yaml(text.replace('"1"', '"2"'))))
    with pytest.raises(ApiError, match='conflict with "one"') as raised:
        client.apply(other, field_manager="two")
    assert raised.value.status.details.causes[0].field == ".data.a"
    assert client.apply(other, field_manager="two", force=True).data == {"a": "2"}


def test_a_watch_and_a_wait_see_what_another_writes(kubeconfig: Path, space: str) -> None:
    from lightkube import Client, KubeConfig
    from lightkube.resources.core_v1 import Pod

    client = Client(config=KubeConfig.from_file(kubeconfig), namespace=space)
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        for event, found in client.watch(Pod, labels={"app": "watched"}):
            seen.append((event, found.status.phase))
            if event == "DELETED":
                return

    watching = threading.Thread(target=follow)
    watching.start()
    client.create(Pod.from_dict(pod("watched")))
    until("the watch sees the pod", lambda: ("ADDED", "Pending") in seen)
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    client.patch(Pod.Status, "watched", ready)
    assert client.wait(Pod, "watched", for_conditions=["Ready"]).status.phase == "Running"
    client.delete(Pod, "watched", grace_period=0)
    watching.join(30)
    assert seen == [("ADDED", "Pending"), ("MODIFIED", "Running"), ("DELETED", "Running")]


async def test_custom_kinds_are_used_from_the_asynchronous_client(kubeconfig: Path, space: str) -> None:
    from lightkube import ApiError, AsyncClient, KubeConfig
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.types import PatchType

    widgets = create_namespaced_resource("clients.example.com", "v1", "Widget", "widgets")
    client = AsyncClient(config=KubeConfig.from_file(kubeconfig), namespace=space)
    await client.create(widgets(metadata={"name": "w"}, spec={"size": 1}))
    await client.patch(widgets.Status, "w", {"status": {"ready": True}}, patch_type=PatchType.MERGE)
    found = await client.get(widgets, "w")
    assert (found.spec, found.status) == ({"size": 1}, {"ready": True})
    with pytest.raises(ApiError, match="should be greater than or equal to 1"):
        await client.patch(widgets, "w", {"spec": {"size": 0}}, patch_type=PatchType.MERGE)
    assert [each.metadata.name async for each in client.list(widgets)] == ["w"]
    await client.delete(widgets, "w")
    with pytest.raises(ApiError):
        await client.get(widgets, "w")
    await client.close()
