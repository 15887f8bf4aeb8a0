"""ServiceAccount: who a pod is, and where it finds its token."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.admission import serviceaccount
from panal.errors import Forbidden
from panal.resources import PODS, SERVICEACCOUNTS

from .conftest import Object, Stored, asking, container, pod


def with_account(name: str = "default", **fields: object) -> Stored:
    stored = Stored()
    stored.put(SERVICEACCOUNTS, {"metadata": {"name": name, "namespace": "shop"}, **fields})
    return stored


def mounts(obj: Object, kind: str = "containers") -> list[list[str]]:
    return [[each["mountPath"] for each in item.get("volumeMounts", [])] for item in obj["spec"].get(kind, [])]


def test_a_pod_runs_as_default_and_every_container_finds_the_token() -> None:
    obj = pod("web", container("a"), container("b"), initContainers=[container("i")])
    serviceaccount.admit(asking(PODS, obj), with_account())
    assert obj["spec"]["serviceAccountName"] == obj["spec"]["serviceAccount"] == "default"
    assert mounts(obj) == [[serviceaccount.MOUNT_PATH]] * 2
    assert mounts(obj, "initContainers") == [[serviceaccount.MOUNT_PATH]]
    (volume,) = obj["spec"]["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert [next(iter(each)) for each in volume["projected"]["sources"]] == [
        "serviceAccountToken", "configMap", "downwardAPI",
    ]  # fmt: skip


def test_a_pod_whose_account_is_missing_is_refused() -> None:
    words = 'error looking up service account shop/nadie: serviceaccount "nadie" not found'
    with pytest.raises(Forbidden, match=words):
        serviceaccount.admit(asking(PODS, pod(serviceAccountName="nadie")), with_account())


def test_the_pod_has_the_last_word_on_whether_it_gets_a_token() -> None:
    refuses, wants = pod(automountServiceAccountToken=False), pod(automountServiceAccountToken=True)
    serviceaccount.admit(asking(PODS, refuses), with_account())
    serviceaccount.admit(asking(PODS, wants), with_account(automountServiceAccountToken=False))
    assert "volumes" not in refuses["spec"]
    assert "volumes" in wants["spec"]


def test_a_container_with_something_mounted_there_keeps_it() -> None:
    own = {"name": "own", "mountPath": serviceaccount.MOUNT_PATH}
    obj = pod("web", {"name": "c", "image": "i", "volumeMounts": [own]})
    serviceaccount.admit(asking(PODS, obj), with_account())
    assert obj["spec"]["containers"][0]["volumeMounts"] == [own]
    assert obj["spec"].get("volumes", []) == []


def test_pull_secrets_come_from_the_account_unless_the_pod_has_its_own() -> None:
    stored = with_account(imagePullSecrets=[{"name": "registry"}])
    without, own = pod(), pod(imagePullSecrets=[{"name": "mine"}])
    for obj in (without, own):
        serviceaccount.admit(asking(PODS, obj), stored)
    assert without["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert own["spec"]["imagePullSecrets"] == [{"name": "mine"}]


def test_a_mirror_of_a_static_pod_is_left_as_the_kubelet_wrote_it() -> None:
    obj = pod()
    obj["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    serviceaccount.admit(asking(PODS, obj), Stored())
    assert "serviceAccountName" not in obj["spec"]
