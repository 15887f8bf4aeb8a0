"""The way from client-side to server-side apply, alone and with the real kubectl."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import lastapplied
from panal.controlplane.apiserver.apply import apply, track_update
from panal.errors import Conflict
from panal.resources import CONFIGMAPS

from .http.conftest import ApiServer, apiserver

__all__ = ["apiserver"]

NOW = "2026-01-31T12:00:00Z"


def settings(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": data}


def made_by_client_side_apply(**data: str) -> dict[str, Any]:
    live = settings(**data)
    live["metadata"]["annotations"] = {lastapplied.ANNOTATION: orjson.dumps(settings(**data)).decode()}
    track_update(CONFIGMAPS, None, live, manager="kubectl-client-side-apply", now=NOW)
    return live


def applied_by(manager: str, live: dict[str, Any], **data: str) -> dict[str, Any]:
    ceded = lastapplied.ceded(CONFIGMAPS, live, manager)
    result = apply(CONFIGMAPS, live, settings(**data), manager=manager, force=False, now=NOW, ceded=ceded)
    return lastapplied.followed(result, settings(**data), manager)


def test_kubectl_may_change_what_it_applied_before() -> None:
    result = applied_by("kubectl", made_by_client_side_apply(x="1"), x="2")
    assert result["data"] == {"x": "2"}
    assert orjson.loads(result["metadata"]["annotations"][lastapplied.ANNOTATION]) == settings(x="2")


def test_what_somebody_else_changed_since_is_a_conflict_all_the_same() -> None:
    live = made_by_client_side_apply(x="1", y="1")
    changed = copy.deepcopy(live)
    changed["data"]["y"] = "9"
    track_update(CONFIGMAPS, live, changed, manager="somebody", now=NOW)
    with pytest.raises(Conflict) as caught:
        applied_by("kubectl", changed, x="2", y="2")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "somebody" using v1: .data.y'


def test_another_manager_inherits_nothing() -> None:
    with pytest.raises(Conflict):
        applied_by("argo", made_by_client_side_apply(x="1"), x="2")


@pytest.mark.parametrize("text", ["{", "[]", '{"metadata": 1}', '{"data": 1}'])
def test_an_annotation_that_says_nothing_cedes_nothing(text: str) -> None:
    live = made_by_client_side_apply(x="1")
    live["metadata"]["annotations"][lastapplied.ANNOTATION] = text
    assert lastapplied.ceded(CONFIGMAPS, live, "kubectl") == {}


@pytest.mark.kubectl
@pytest.mark.skipif(not os.environ.get("CI") and shutil.which("kubectl") is None, reason="no kubectl")
def test_the_real_kubectl_moves_from_one_to_the_other_and_back(apiserver: ApiServer, tmp_path: Path) -> None:
    manifest, config = tmp_path / "a.json", apiserver.user("migrant", "system:masters")

    def kubectl(*arguments: str, **data: str) -> str:
        obj = settings(**data)
        obj["metadata"]["namespace"] = "default"
        manifest.write_bytes(orjson.dumps(obj))
        command = ["kubectl", f"--kubeconfig={config}", f"--cache-dir={tmp_path}/cache", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    kubectl("apply", "-f", str(manifest), x="1", y="1")
    assert kubectl("apply", "--server-side", "-f", str(manifest), x="2").strip() == "configmap/a serverside-applied"
    live = orjson.loads(kubectl("get", "configmap", "a", "-o", "json", "--show-managed-fields"))
    assert live["data"] == {"x": "2"}
    assert [(entry["manager"], entry["operation"]) for entry in live["metadata"]["managedFields"]] == [
        ("kubectl", "Apply"),
        ("kubectl-last-applied", "Apply"),
    ]
    assert kubectl("apply", "-f", str(manifest), x="3").strip() == "configmap/a configured"
    assert orjson.loads(kubectl("get", "configmap", "a", "-o", "json"))["data"] == {"x": "3"}
