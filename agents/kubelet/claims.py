"""What is behind a pod's persistentVolumeClaim volumes: the pod with the paths of the node in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from panal.client import Client
from panal.errors import NotFound
from panal.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES

from . import podspec
from .podspec import Pod
from .volumes import VolumeError

Object = Mapping[str, Any]
_BIND_COMPLETED = "pv.kubernetes.io/bind-completed"


async def resolved(client: Client, pod: Pod) -> Pod:
    """The pod whose claims are hostPath volumes; the same where it has none. Raises VolumeError, StatusError."""
    volumes = pod["spec"].get("volumes") or ()
    if not any("persistentVolumeClaim" in volume for volume in volumes):
        return pod
    found = [await _resolved(client, pod, volume) for volume in volumes]
    return {**pod, "spec": {**pod["spec"], "volumes": found}}


async def _resolved(client: Client, pod: Pod, volume: Object) -> Object:
    source = volume.get("persistentVolumeClaim")
    if source is None:
        return volume
    namespace, name = podspec.namespace(pod), str(source["claimName"])
    try:
        claim = await client.get(PERSISTENTVOLUMECLAIMS, name, namespace)
        check_claim(claim)
        behind = await client.get(PERSISTENTVOLUMES, claim["spec"]["volumeName"])
        return {"name": volume["name"], "hostPath": host_path(behind, claim)}
    except (NotFound, VolumeError) as error:
        said = error.message if isinstance(error, NotFound) else str(error)
        raise VolumeError(
            f"Unable to attach or mount volumes: unmounted volumes=[{volume['name']}], unattached volumes=[], failed "
            f"to process volumes=[{volume['name']}]: error processing PVC {namespace}/{name}: {said}"
        ) from error


def check_claim(claim: Object) -> None:
    """Raises VolumeError unless a pod may start with the claim."""
    if claim["metadata"].get("deletionTimestamp"):
        raise VolumeError("PVC is being deleted")
    bound = _BIND_COMPLETED in (claim["metadata"].get("annotations") or {})
    if (claim.get("status") or {}).get("phase") != "Bound" or not claim["spec"].get("volumeName") or not bound:
        raise VolumeError("PVC is not bound")


def host_path(volume: Object, claim: Object) -> Object:
    """The path of the node that a volume is. Raises VolumeError."""
    spec, name = volume["spec"], volume["metadata"]["name"]
    reference = spec.get("claimRef") or {}
    if reference.get("uid") != claim["metadata"].get("uid"):
        raise VolumeError(f"PV {name} is bound to a different PVC")
    if spec.get("volumeMode") == "Block":
        raise VolumeError("block volumes are not supported by this node")
    if "hostPath" in spec:
        return {"path": spec["hostPath"]["path"], "type": spec["hostPath"].get("type") or ""}
    if "local" in spec:
        return {"path": spec["local"]["path"], "type": "Directory"}
    raise VolumeError(f"PV {name} is of a type that is not supported by this node")


def read_only(pod: Pod) -> frozenset[str]:
    """Names of the volumes whose claim is used read-only."""
    return frozenset(
        volume["name"]
        for volume in pod["spec"].get("volumes") or ()
        if (volume.get("persistentVolumeClaim") or {}).get("readOnly")
    )
