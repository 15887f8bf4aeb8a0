"""Claims and volumes as a user meets them, with the real API server, controllers and scheduler; kubelets are played."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from panal.client import Client
from panal.errors import NotFound
from panal.resources import EVENTS, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS

Object = dict[str, Any]
Eventually = Callable[..., Awaitable[Any]]


def claim(name: str, **spec: Any) -> Object:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}


def pod(name: str, uses: str) -> Object:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": uses}}]
    spec = {"containers": [{"name": "c", "image": "nginx"}], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def volume(name: str, policy: str = "Retain", **spec: Any) -> Object:
    wanted = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}, "hostPath": {"path": "/mnt/there"}}
    wanted |= {"persistentVolumeReclaimPolicy": policy, "storageClassName": "manual", **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": wanted}


async def phase(client: Client, name: str, namespace: str | None) -> str:
    which = PERSISTENTVOLUMECLAIMS if namespace else PERSISTENTVOLUMES
    return str((await client.get(which, name, namespace))["status"]["phase"])


async def is_gone(client: Client, which: Any, name: str, namespace: str | None = None) -> bool:
    try:
        await client.get(which, name, namespace)
    except NotFound:
        return True
    return False


async def test_a_pod_makes_its_claim_a_folder_of_its_node_which_stays_until_both_are_gone(
    client: Client, namespace: str, nodes: Any, eventually: Eventually, local_path: None, plane: Any
) -> None:
    made = await client.create(PERSISTENTVOLUMECLAIMS, claim("data"), namespace)
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert made["spec"]["storageClassName"] == "local-path"

    async def told() -> bool:
        events = (await client.list(EVENTS, namespace))["items"]
        return any(item["reason"] == "WaitForFirstConsumer" for item in events)

    await eventually(told)
    await client.create(PODS, pod("web", "data"), namespace)

    async def placed() -> str:
        return str((await client.get(PODS, "web", namespace))["spec"].get("nodeName") or "")

    node = await eventually(placed)
    bound = await client.get(PERSISTENTVOLUMECLAIMS, "data", namespace)
    assert bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    behind = await client.get(PERSISTENTVOLUMES, bound["spec"]["volumeName"])
    terms = behind["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    folder = Path(plane.home) / "volumes" / f"pvc-{made['metadata']['uid']}"
    assert behind["spec"]["hostPath"]["path"] == str(folder)
    (folder / "row").write_text("kept")
    await client.delete(PERSISTENTVOLUMECLAIMS, "data", namespace)
    await client.create(PODS, pod("late", "data"), namespace)

    async def refused() -> bool:
        conditions = (await client.get(PODS, "late", namespace))["status"].get("conditions") or ()
        words = '0/2 nodes are available: persistentvolumeclaim "data" is being deleted.'
        return any(item.get("message", "").startswith(words) for item in conditions)

    await eventually(refused)
    assert (folder / "row").read_text() == "kept"
    await client.delete(PODS, "web", namespace)
    await eventually(lambda: is_gone(client, PERSISTENTVOLUMECLAIMS, "data", namespace))
    await eventually(lambda: is_gone(client, PERSISTENTVOLUMES, behind["metadata"]["name"]))
    assert not folder.exists()


async def test_a_volume_of_ones_own_is_bound_released_and_kept(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}
    await client.create(PERSISTENTVOLUMES, volume("kept", nodeAffinity={"required": {"nodeSelectorTerms": [here]}}))

    async def is_(name: str, wanted: str, where: str | None = None) -> bool:
        return await phase(client, name, where) == wanted

    await eventually(lambda: is_("kept", "Available"))
    await client.create(PERSISTENTVOLUMECLAIMS, claim("mine", storageClassName="manual"), namespace)
    await eventually(lambda: is_("mine", "Bound", namespace))
    await eventually(lambda: is_("kept", "Bound"))
    found = await client.get(PERSISTENTVOLUMECLAIMS, "mine", namespace)
    assert found["status"]["capacity"] == {"storage": "2Gi"}
    await client.create(PODS, pod("web", "mine"), namespace)

    async def on_b() -> bool:
        return bool((await client.get(PODS, "web", namespace))["spec"].get("nodeName") == "b")

    await eventually(on_b)
    await client.delete(PODS, "web", namespace)
    await client.delete(PERSISTENTVOLUMECLAIMS, "mine", namespace)
    await eventually(lambda: is_("kept", "Released"))
    await client.delete(PERSISTENTVOLUMES, "kept")
    await eventually(lambda: is_gone(client, PERSISTENTVOLUMES, "kept"))


async def test_a_pod_whose_claim_nobody_can_satisfy_says_so(
    client: Client, namespace: str, nodes: Any, eventually: Eventually
) -> None:
    await client.create(PERSISTENTVOLUMECLAIMS, claim("none", storageClassName=""), namespace)
    await client.create(PODS, pod("web", "none"), namespace)

    async def told() -> bool:
        conditions = (await client.get(PODS, "web", namespace))["status"].get("conditions") or ()
        words = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        return any(item.get("message", "").startswith(words) for item in conditions)

    await eventually(told)
