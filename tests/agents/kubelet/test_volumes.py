"""Volumes, from what a pod says to the files that its containers see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from panal.agents.kubelet import atomic
from panal.agents.kubelet.env import ConfigError
from panal.agents.kubelet.fields import Surroundings
from panal.agents.kubelet.mounter import Mounter
from panal.agents.kubelet.volumes import (
    File,
    Folder,
    TokenWish,
    VolumeError,
    contents,
    object_data,
    referenced,
    token_wishes,
)
from panal.agents.runtime.contract import Mount

AROUND = Surroundings("", "192.168.0.101", "nodoa", "4", "10Gi")
ACCESS = {
    "name": "kube-api-access",
    "projected": {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ],
    },
}


def lookup(**objects: dict[str, bytes]) -> Any:
    return lambda kind, name: objects.get(f"{kind}_{name.replace('-', '_').replace('.', '_')}")


def test_the_service_accounts_files_lie_where_every_client_looks_for_them(tmp_path: Path, pod: Any) -> None:
    mount = {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    found = pod({"name": "web", "volumeMounts": [mount]}, volumes=[ACCESS])
    mounter = Mounter(tmp_path)
    wish = TokenWish("", 3607)
    assert token_wishes(found) == {wish}
    assert referenced(found) == {("configmap", "kube-root-ca.crt")}
    paths = mounter.set_up(found, lookup(configmap_kube_root_ca_crt={"ca.crt": b"CA"}), {wish: "T"}, AROUND)
    folder = paths["kube-api-access"]
    assert {name: (folder / name).read_text() for name in ("token", "ca.crt", "namespace")} == {
        "token": "T", "ca.crt": "CA", "namespace": "default",
    }  # fmt: skip
    assert (folder / "token").stat().st_mode & 0o777 == 0o644
    assert mounter.mounts(found, found["spec"]["containers"][0], paths, {}) == [
        Mount("/var/run/secrets/kubernetes.io/serviceaccount", str(folder), True)
    ]


def test_files_are_replaced_all_at_once_and_what_went_is_gone(tmp_path: Path) -> None:
    assert atomic.write(tmp_path / "v", [File("a", b"1", 0o644), File("sub/b", b"2", 0o600)])
    before = os.readlink(tmp_path / "v" / "..data")
    assert not atomic.write(tmp_path / "v", [File("a", b"1", 0o644), File("sub/b", b"2", 0o600)])
    assert os.readlink(tmp_path / "v" / "..data") == before
    assert atomic.write(tmp_path / "v", [File("a", b"3", 0o400)])
    assert sorted(path.name for path in (tmp_path / "v").iterdir() if not path.name.startswith("..")) == ["a"]
    assert (tmp_path / "v" / "a").read_bytes() == b"3"
    assert (tmp_path / "v" / "a").stat().st_mode & 0o777 == 0o400
    assert len([path for path in (tmp_path / "v").iterdir() if path.name.startswith("..")]) == 2


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        (
            {"configMap": {"name": "c", "items": [{"key": "x", "path": "x"}]}},
            "references non-existent config key: x",
        ),
        ({"configMap": {"name": "c", "items": [{"key": "a", "path": "../x"}]}}, "invalid path '../x' in a volume"),
        ({"persistentVolumeClaim": {"claimName": "x"}}, "volumes of type persistentVolumeClaim are not supported"),
    ],
)
def test_what_cannot_be_mounted_is_told(pod: Any, volume: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeError) as error:
        contents(pod("web"), {"name": "v", **volume}, lookup(configmap_c={"a": b"1"}), {}, AROUND)
    assert str(error.value).startswith(message)


def test_what_is_optional_may_be_missing(pod: Any) -> None:
    volume = {"name": "v", "configMap": {"name": "no", "optional": True}}
    assert contents(pod("web"), volume, lookup(), {}, AROUND).files == ()  # type: ignore[union-attr]


def test_a_folder_of_the_pod_lives_as_long_as_the_pod(tmp_path: Path, pod: Any) -> None:
    found = pod("web", volumes=[{"name": "scratch", "emptyDir": {}}])
    mounter = Mounter(tmp_path)
    path = mounter.set_up(found, lookup(), {}, AROUND)["scratch"]
    (path / "x").write_text("kept")
    assert mounter.set_up(found, lookup(), {}, AROUND)["scratch"] == path
    assert (path / "x").read_text() == "kept"
    assert path.stat().st_mode & 0o777 == 0o777
    mounter.remove("u1")
    assert not path.exists()


@pytest.mark.parametrize(
    ("source", "limits", "expected"),
    [
        ({}, {}, Folder()),
        ({"sizeLimit": "1Mi"}, {}, Folder()),
        ({"medium": "Memory"}, {}, Folder(True, 0)),
        ({"medium": "Memory", "sizeLimit": "1Mi"}, {}, Folder(True, 1 << 20)),
        ({"medium": "Memory"}, {"memory": "64Mi"}, Folder(True, 64 << 20)),
        ({"medium": "Memory", "sizeLimit": "1Gi"}, {"memory": "64Mi"}, Folder(True, 64 << 20)),
    ],
)
def test_a_folder_in_memory_is_no_larger_than_its_limit_and_the_pods(
    pod: Any, source: dict[str, str], limits: dict[str, str], expected: Folder
) -> None:
    found = pod({"name": "web", "resources": {"limits": limits}})
    assert contents(found, {"name": "v", "emptyDir": source}, lookup(), {}, AROUND) == expected


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("Directory", "file", "is not a directory"),
        ("File", "folder", "is not a file"),
        ("Socket", "file", "is not a socket file"),
        ("Directory", "missing", "is not a directory"),
    ],
)
def test_a_path_of_the_machine_must_be_what_it_is_called(
    tmp_path: Path, pod: Any, kind: str, name: str, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    found = pod("web", volumes=[{"name": "h", "hostPath": {"path": str(tmp_path / name), "type": kind}}])
    with pytest.raises(VolumeError, match=message):
        Mounter(tmp_path / "pods").set_up(found, lookup(), {}, AROUND)


def test_a_sub_path_stays_inside_its_volume(tmp_path: Path, pod: Any) -> None:
    volume = tmp_path / "v"
    volume.mkdir()
    (volume / "out").symlink_to("/etc")
    mounter = Mounter(tmp_path / "pods")

    def mounts(**mount: str) -> list[Mount]:
        spec = {"name": "web", "volumeMounts": [{"name": "v", "mountPath": "/m", **mount}]}
        return mounter.mounts(pod(spec), spec, {"v": volume}, {"NAME": "made"})

    assert mounts(subPathExpr="$(NAME)/x") == [Mount("/m", str(volume / "made/x"))]
    assert (volume / "made/x").is_dir()
    for bad in ("../x", "/etc", "out/passwd"):
        with pytest.raises(ConfigError):
            mounts(subPath=bad)


def test_objects_as_bytes() -> None:
    assert object_data("configmap", {"data": {"a": "ñ"}, "binaryData": {"b": "AAE="}}) == {
        "a": "ñ".encode(),
        "b": b"\0\1",
    }
    assert object_data("secret", {"data": {"a": "aGk="}}) == {"a": b"hi"}
