"""kr8s as its users use it: objects with methods, kinds found by discovery, scaling, waiting and watching."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from panal.tasks import spawn

from .objects import deployment, pod

pytestmark = pytest.mark.filterwarnings("ignore")


async def test_objects_are_created_labelled_scaled_and_deleted(kubeconfig: Path, space: str) -> None:
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap, Deployment, Pod

    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), namespace=space)
    assert (await api.version())["gitVersion"].startswith("v1.36")
    assert await api.whoami() == "admin"
    assert any(each["name"] == "deployments" for each in await api.api_resources())

    one = await Pod({**pod("one"), "metadata": {"name": "one", "namespace": space}}, api=api)
    await one.create()
    await one.label({"tier": "front"})
    await one.annotate(note="a")
    assert [each.name async for each in api.get("pods", namespace=space, label_selector={"tier": "front"})] == ["one"]
    assert one.annotations["note"] == "a"
    await one.delete(force=True)
    await one.wait("delete", timeout=20)
    assert not await one.exists()

    web = await Deployment({**deployment("web"), "metadata": {"name": "web", "namespace": space}}, api=api)
    await web.create()
    scaling = spawn(web.scale(3), name="scale")
    while (await Deployment.get("web", namespace=space, api=api)).replicas != 3:
        await asyncio.sleep(0.02)
    status = {"status": {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3, "availableReplicas": 3}}
    await web.patch(status, subresource="status")
    await asyncio.wait_for(scaling, 30)

    settings = await ConfigMap({"metadata": {"name": "c", "namespace": space}, "data": {"a": "b"}}, api=api)
    await settings.create()
    with pytest.raises(kr8s.ServerError, match="already exists"):
        await settings.create()
    await settings.patch([{"op": "replace", "path": "/data/a", "value": "c"}], type="json")
    await settings.refresh()
    assert settings.data.a == "c"


async def test_a_custom_kind_is_found_and_watched(kubeconfig: Path, space: str) -> None:
    import kr8s.asyncio
    from kr8s.asyncio.objects import new_class

    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), namespace=space)
    widgets = new_class(kind="Widget", version="clients.example.com/v1", namespaced=True)
    seen: list[tuple[str, str]] = []

    async def follow() -> None:
        async with aclosing(api.watch("widgets.clients.example.com", namespace=space)) as events:
            async for event, found in events:
                seen.append((event, found.name))
                if event == "DELETED":
                    return

    watching = spawn(follow(), name="watch")
    widget = await widgets({"metadata": {"name": "w", "namespace": space}, "spec": {"size": 1}}, api=api)
    await widget.create()
    while not seen:
        await asyncio.sleep(0.02)
    assert [each.name async for each in api.get("wi", namespace=space)] == ["w"]
    await widget.delete()
    await asyncio.wait_for(watching, 30)
    assert seen == [("ADDED", "w"), ("DELETED", "w")]
