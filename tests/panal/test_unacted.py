"""The table of fields without effect: its paths are Kubernetes', and ordinary manifests meet none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from panal import unacted
from panal.agents.kubelet import unsupported
from panal.command.fidelity import asked, gathered
from panal.controlplane.apiserver.schema import Type, schema
from panal.resources import Resource, all_resources, resource

ROOT = Path(__file__).resolve().parents[2]


def leaves(tree: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, below in tree.items():
        path = (*prefix, name)
        if isinstance(below, unacted.Field):
            yield path
        else:
            yield from leaves(below, path)


def built_in(name: str) -> Resource:
    return next(each for each in all_resources() if each.group_resource == name)


@pytest.mark.parametrize("name", unacted.FIELDS)
def test_every_path_of_the_table_is_a_field_of_the_kind(name: str) -> None:
    for path in leaves(unacted.FIELDS[name]):
        kind: Type | None = schema().of(built_in(name))
        for step in path:
            assert kind is not None
            assert kind.kind == "struct", path
            field = kind.fields[step.removesuffix("[]")]
            kind = field.type.items if step.endswith("[]") else field.type


def a_pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hostPID": True}, "spec.hostPID"),
        ({"hostUsers": False}, "spec.hostUsers"),
        ({"runtimeClassName": "gvisor"}, "spec.runtimeClassName"),
        ({"securityContext": {"sysctls": [{"name": "a", "value": "b"}]}}, "spec.securityContext.sysctls"),
        (
            {"containers": [{"name": "c", "securityContext": {"seccompProfile": {"type": "Localhost"}}}]},
            "spec.containers[0].securityContext.seccompProfile.type",
        ),
        ({"volumes": [{"name": "a"}, {"name": "v", "nfs": {"server": "s", "path": "/"}}]}, "spec.volumes[1].nfs"),
        ({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}, "spec.volumes[0].emptyDir.medium"),
    ],
)
def test_a_field_in_use_is_named_by_its_path(spec: dict[str, Any], path: str) -> None:
    assert list(unacted.in_use("pods", a_pod(**spec))) == [path]


def test_what_is_there_anyway_is_not_worth_a_word() -> None:
    spec = {
        "hostPID": False,
        "hostUsers": True,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "sysctls": []},
        "containers": [{"name": "c", "securityContext": {"procMount": "Default"}, "volumeMounts": [
            {"name": "v", "mountPath": "/v", "mountPropagation": "None"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }  # fmt: skip
    assert unacted.in_use("pods", a_pod(**spec)) == {}


def test_an_update_is_warned_of_what_it_adds() -> None:
    old = a_pod(hostPID=True)
    new = a_pod(hostPID=True, hostIPC=True)
    assert unacted.warnings("pods", "Pod", new, old) == [
        "spec.hostIPC: nothing in this cluster acts on it: the pod has an ipc namespace of its own"
    ]
    assert unacted.warnings("pods", "Pod", old, old) == []


def test_the_examples_meet_none() -> None:
    checked = 0
    for path in sorted((ROOT / "examples").rglob("*.y*ml")):
        for each in yaml.safe_load_all(path.read_text()):
            for obj in (each.get("items") or [each]) if isinstance(each, dict) else []:
                kind = next((one for one in all_resources() if one.kind == obj.get("kind")), None)
                if kind is not None:
                    assert unacted.in_use(kind.group_resource, obj) == {}, path
                    checked += 1
    assert checked > 3


def test_the_table_knows_what_the_kubelet_says_has_no_effect() -> None:
    asking = a_pod(
        hostPID=True, hostIPC=True, hostUsers=False,
        securityContext={"sysctls": [{"name": "a", "value": "b"}], "seLinuxOptions": {"level": "x"},
                         "seccompProfile": {"type": "Localhost"}, "appArmorProfile": {"type": "Localhost"}},
        containers=[{"name": "c", "volumeDevices": [{"name": "a"}],
                     "securityContext": {"procMount": "Unmasked", "windowsOptions": {"hostProcess": True}}}],
    )  # fmt: skip
    told = {re.split(r"[. ]", sentence.partition(" has no effect")[0].replace(" of container c", ""))[-1]
            for sentence in unsupported.unsupported(asking)}  # fmt: skip
    known = {step for path in unacted.in_use("pods", asking) for step in path.split(".")}
    assert told - {"c"} <= known, told


def test_fidelity_lists_fields_and_kinds_but_not_what_a_controller_made() -> None:
    owned = {**a_pod(hostPID=True), "metadata": {"name": "q", "ownerReferences": [{"controller": True}]}}
    rows = list(gathered(resource("pods"), [a_pod(hostPID=True), owned]))
    assert [(row.name, row.field) for row in rows] == [("p", "spec.hostPID")]
    policy = {"metadata": {"name": "deny", "namespace": "n"}}
    unserved = resource("csidrivers")
    assert unserved in asked()
    assert [row.why for row in gathered(unserved, [policy])] == ["stored and validated only"]
