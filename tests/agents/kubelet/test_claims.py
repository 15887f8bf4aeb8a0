"""What a claim is on the node, and when a pod has to wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panal.agents.kubelet import claims
from panal.agents.kubelet.mounter import Mounter
from panal.agents.kubelet.volumes import VolumeError

Object = dict[str, Any]


def claim(phase: str = "Bound", **meta: Any) -> Object:
    notes = {"pv.kubernetes.io/bind-completed": "yes"}
    return {
        "metadata": {"uid": "1", "annotations": notes, **meta},
        "spec": {"volumeName": "v"},
        "status": {"phase": phase},
    }


def volume(uid: str = "1", **spec: Any) -> Object:
    return {"metadata": {"name": "v"}, "spec": {"claimRef": {"uid": uid}, **spec}}


def test_a_claim_has_to_be_bound_and_to_stay() -> None:
    claims.check_claim(claim())
    for wrong, why in (
        (claim("Pending"), "PVC is not bound"),
        (claim("Lost"), "PVC is not bound"),
        (claim(annotations={}), "PVC is not bound"),
        (claim(deletionTimestamp="2026-01-01T00:00:00Z"), "PVC is being deleted"),
    ):
        with pytest.raises(VolumeError, match=why):
            claims.check_claim(wrong)


def test_a_local_volume_has_to_be_there_and_others_are_refused() -> None:
    assert claims.host_path(volume(local={"path": "/disk"}), claim()) == {"path": "/disk", "type": "Directory"}
    made = volume(hostPath={"path": "/x", "type": "DirectoryOrCreate"})
    assert claims.host_path(made, claim()) == {"path": "/x", "type": "DirectoryOrCreate"}
    with pytest.raises(VolumeError, match="not supported"):
        claims.host_path(volume(nfs={"server": "x", "path": "/"}), claim())
    with pytest.raises(VolumeError, match="different PVC"):
        claims.host_path(volume("2", local={"path": "/disk"}), claim())


def test_a_claim_used_read_only_is_mounted_so_and_a_part_of_it_by_an_expression(tmp_path: Path) -> None:
    pod = {
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}]},
    }
    spec = {"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data", "subPathExpr": "$(POD)"}]}
    (tmp_path / "volume").mkdir()
    (mount,) = Mounter(tmp_path).mounts(pod, spec, {"data": tmp_path / "volume"}, {"POD": "p"})
    assert mount.readonly
    assert mount.host_path == str(tmp_path / "volume" / "p")
