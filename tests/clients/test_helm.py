"""Helm's own program with a chart that does what charts do (charts/web): a release's life, hooks, tests, mistakes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from ..cluster import harness
from .programs import everything, program

CHART = str(Path(__file__).with_name("charts") / "web")


class Helm:
    """The program in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str, home: Path) -> None:
        self.namespace = namespace
        self._program = program("helm")
        self._kubectl = ["kubectl", "--namespace", namespace]
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}

    def __call__(self, *words: str, code: int = 0) -> str:
        return self._run([self._program, "--namespace", self.namespace, *words], code)

    def json(self, *words: str) -> Any:
        return orjson.loads(self(*words, "-o", "json"))

    def kubectl(self, *words: str, code: int = 0) -> str:
        return self._run([*self._kubectl, *words], code)

    def value(self, kind: str, path: str) -> str:
        return self.kubectl("get", kind, "-o", f"jsonpath={{{path}}}")

    def _run(self, command: list[str], code: int) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == code, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout if done.returncode == 0 else done.stderr


def test_a_release_is_installed_upgraded_and_uninstalled(kubeconfig: Path, space: str, tmp_path: Path) -> None:
    """Without pods: what waits for none."""
    helm = Helm(kubeconfig, space, tmp_path)
    assert "Release a, revision 1." in helm("install", "a", CHART, "--set", "hooks=false")
    assert helm.value("configmap/a-facts", ".data.version") == "v1.36.2"
    assert helm.value("configmap/a-facts", ".data.hosts") == "kube-system"
    password = helm.value("secret/a-password", ".data.password")
    helm("upgrade", "a", CHART, "--set", "hooks=false,replicas=2,color=blue")
    assert helm.value("deployment/a", ".spec.replicas") == "2"
    assert helm.value("color/a", ".spec.name") == "blue"
    assert helm.value("secret/a-password", ".data.password") == password  # looked up
    assert [each["revision"] for each in helm.json("history", "a")] == [1, 2]
    helm("uninstall", "a")
    helm.kubectl("get", "deployment", "a", code=1)


@pytest.fixture
def helm(kubeconfig: Path, space: str, tmp_path: Path) -> Helm:
    """Against the API server alone."""
    return Helm(kubeconfig, space, tmp_path)


@everything
def test_what_would_be_installed_is_shown_with_what_the_server_knows(helm: Helm) -> None:
    helm.kubectl("apply", "-f", f"{CHART}/crds")  # a dry run does not define it
    helm.kubectl("wait", "crd/colors.helm.example.com", "--for=condition=Established", "--timeout=30s")
    shown = helm("install", "dry", CHART, "--dry-run=server")
    assert 'hosts: "kube-system"' in shown
    assert 'hosts: "none"' in helm("template", "dry", CHART, "--kube-version=1.36.0")
    assert 'hosts: "kube-system"' in helm("template", "dry", CHART, "--dry-run=server", "--validate")
    helm.kubectl("get", "deployment", "dry", code=1)
    assert helm.json("list") == []
    assert "incompatible with Kubernetes" in helm("template", "dry", CHART, "--kube-version=1.20.0", code=1)


@everything
def test_a_release_is_told_about_in_every_way(helm: Helm) -> None:
    helm("install", "told", CHART, "--set", "hooks=false,part.text=set", "--description", "first", "--labels", "a=b")
    assert [each["name"] for each in helm.json("list", "--selector", "a=b")] == ["told"]
    status = helm.json("status", "told", "--show-desc")
    assert (status["info"]["status"], status["info"]["description"]) == ("deployed", "first")
    assert helm.json("get", "values", "told") == {"hooks": False, "part": {"text": "set"}}
    assert helm.json("get", "values", "told", "--all")["color"] == "red"
    assert "kind: Deployment" in helm("get", "manifest", "told")
    assert "revision 1" in helm("get", "notes", "told")
    assert "NAME: told" in helm("get", "all", "told")
    assert helm.json("get", "metadata", "told")["version"] == "0.1.0"
    assert "helm.sh/release.v1" in helm.value("secret/sh.helm.release.v1.told.v1", ".type")
    assert "==> v1/Deployment" in helm("status", "told", "--show-resources")


@everything
def test_mistakes_are_answered_in_kubernetes_words(helm: Helm) -> None:
    helm("install", "first", CHART, "--set", "hooks=false")
    again = helm("install", "first", CHART, code=1)
    assert "cannot re-use a name that is still in use" in again
    wrong = helm("install", "wrong", CHART, "--set", "hooks=false,color=violet", code=1)
    assert 'Color.helm.example.com "wrong" is invalid: spec.name: Unsupported value: "violet"' in wrong
    helm.kubectl("create", "configmap", "taken-facts")
    taken = helm("install", "taken", CHART, "--set", "hooks=false", code=1)
    assert "exists and cannot be imported into the current release" in taken
    helm("install", "taken", CHART, "--set", "hooks=false", "--take-ownership")
    assert "UPGRADE FAILED" in helm("upgrade", "first", CHART, "--set", "hooks=false,replicas=none", code=1)
    assert [each["status"] for each in helm.json("history", "first")] == ["deployed", "failed"]
    helm("rollback", "first", "1")
    assert helm.json("history", "first")[-1]["description"] == "Rollback to 1"


@pytest.fixture
def release(cluster: harness.Cluster, request: pytest.FixtureRequest, tmp_path: Path) -> Helm:
    """In a whole cluster, where pods run."""
    namespace = f"helm-{request.node.name[5:25].strip('_').replace('_', '-')}"
    return Helm(cluster.user.home / "kubeconfig", namespace, tmp_path)


@everything
@pytest.mark.cluster
def test_a_release_waits_for_its_hooks_and_pods_is_tested_and_rolled_back(release: Helm) -> None:
    helm = release
    helm("install", "a", CHART, "--create-namespace", "--wait", "--wait-for-jobs", "--timeout=60s")
    assert helm.value("deployment/a", ".status.readyReplicas") == "1"
    assert helm.value("job/a-pre-install", ".status.succeeded") == "1"
    tested = helm("test", "a", "--logs", "--timeout=60s")
    assert "Phase:          Succeeded" in tested
    assert "it works" in tested
    helm("upgrade", "a", CHART, "--set", "replicas=2", "--wait", "--timeout=60s")
    assert helm.value("job/a-post-upgrade", ".status.succeeded") == "1"
    assert helm.value("deployment/a", ".status.readyReplicas") == "2"
    broken = helm("upgrade", "a", CHART, "--set-json", 'command=["false"]', "--atomic", "--timeout=6s", code=1)
    assert "has been rolled back due to atomic being set" in broken
    assert helm.value("deployment/a", ".spec.template.spec.containers[0].command[0]") == "sh"
    assert [each["status"] for each in helm.json("history", "a")] == ["superseded", "superseded", "failed", "deployed"]
    helm("rollback", "a", "1", "--wait", "--timeout=60s")
    assert helm.value("deployment/a", ".spec.replicas") == "1"
    helm("uninstall", "a", "--wait", "--cascade=foreground", "--timeout=60s")
    assert helm.kubectl("get", "deployments,services,pods", "-l", "app.kubernetes.io/instance=a", "-o", "name") == ""


@everything
@pytest.mark.cluster
def test_an_install_that_fails_leaves_nothing_when_it_is_atomic(release: Helm) -> None:
    helm = release
    told = helm("install", "b", CHART, "--create-namespace", "--set-json", 'command=["false"]', "--set", "hooks=false",
                "--atomic", "--timeout=5s", code=1)  # fmt: skip
    assert "has been uninstalled due to atomic being set" in told
    assert helm.json("list", "--all") == []
    helm.kubectl("get", "deployment", "b", code=1)
