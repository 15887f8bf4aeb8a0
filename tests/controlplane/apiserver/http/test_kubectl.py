"""The real kubectl, of every version that is installed, against a real server process."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from panal import tools

if TYPE_CHECKING:
    from .conftest import ApiServer

pytestmark = pytest.mark.kubectl


def installed() -> list[str]:
    """kubectl, which must be there, or the newest that scripts/clients.sh brought; the oldest kubectl.1.N of the path.

    Every one with PANAL_TEST_ALL=1.
    """
    folders = [Path(folder) for folder in (*os.environ.get("PATH", "").split(":"), "/usr/lib/google-cloud-sdk/bin")]
    brought = tools.folder(os.environ)
    folders += [brought / "bin"] if brought else []
    named = {path.name: str(path) for folder in folders if folder.is_dir() for path in folder.glob("kubectl.1.*")}
    found = [named[name] for name in sorted(named)]
    if os.environ.get("PANAL_TEST_ALL"):
        return ["kubectl", *found]
    newest = found[-1] if brought and found and Path(found[-1]).parent == brought / "bin" else "kubectl"
    return list(dict.fromkeys([newest, *found[:1]]))


class Kubectl:
    """One version in a namespace of its own."""

    def __init__(self, program: str, server: ApiServer, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.namespace = "v" + re.sub(r"\D", "", Path(program).name)
        self._environment = {
            "KUBECONFIG": str(server.user("admin", "system:masters")), "HOME": str(folder), "EDITOR": "true",
            "PATH": os.environ.get("PATH", ""), "TMPDIR": str(folder),
        }  # fmt: skip

    def __call__(self, *arguments: str, code: int = 0, editor: str = "", stdin: str = "") -> str:
        environment = {**self._environment, **({"EDITOR": editor} if editor else {})}
        done = subprocess.run(
            [self.program, "--namespace", self.namespace, *arguments],
            env=environment, input=stdin, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def value(self, kind: str, path: str) -> str:
        return self("get", kind, "-o", f"jsonpath={{{path}}}")


@pytest.fixture(scope="module", params=installed(), ids=lambda program: Path(program).name)
def kubectl(request: pytest.FixtureRequest, apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    program: str = request.param
    assert shutil.which(program), "these tests need kubectl"
    made = Kubectl(program, apiserver, tmp_path_factory.mktemp("kubectl"))
    made("create", "namespace", made.namespace)
    made("create", "serviceaccount", "default")
    return made


CREATED = (
    ("deployment web --image=nginx --replicas=2 --port=80", "deployment/web", ".spec.replicas", "2"),
    ("service clusterip cluster --tcp=80:8080", "service/cluster", ".spec.ports[0].targetPort", "8080"),
    ("service nodeport node --tcp=80", "service/node", ".spec.type", "NodePort"),
    ("service loadbalancer balancer --tcp=80", "service/balancer", ".spec.type", "LoadBalancer"),
    ("service externalname outside --external-name=a.example", "service/outside", ".spec.externalName", "a.example"),
    ("configmap settings --from-literal=a=b", "configmap/settings", ".data.a", "b"),
    ("secret generic key --from-literal=a=b", "secret/key", ".data.a", "Yg=="),
    ("job once --image=busybox -- echo hi", "job/once", ".spec.template.spec.containers[0].command[1]", "hi"),
    ("cronjob often --image=busybox --schedule=1/2\\ *\\ *\\ *\\ *", "cronjob/often", ".spec.schedule", "1/2 * * * *"),
    ("ingress way --rule=a.example/b*=web:80 --class=nginx", "ingress/way", ".spec.rules[0].host", "a.example"),
    ("role reader --verb=get --resource=pods", "role/reader", ".rules[0].resources[0]", "pods"),
    ("rolebinding bob --role=reader --user=bob", "rolebinding/bob", ".subjects[0].name", "bob"),
    ("quota limits --hard=configmaps=1000", "quota/limits", ".spec.hard.configmaps", "1k"),
    ("pdb budget --selector=app=web --max-unavailable=50%", "pdb/budget", ".spec.maxUnavailable", "50%"),
    ("serviceaccount robot", "serviceaccount/robot", ".metadata.name", "robot"),
)


@pytest.mark.parametrize(("command", "kind", "path", "value"), CREATED, ids=[each[1] for each in CREATED])
def test_create_makes_every_kind_it_knows(kubectl: Kubectl, command: str, kind: str, path: str, value: str) -> None:
    kubectl("create", *shlex.split(command))
    assert kubectl.value(kind, path) == value


def test_cluster_roles_and_priorities_are_created(kubectl: Kubectl) -> None:
    name = kubectl.namespace
    kubectl("create", "clusterrole", name, "--verb=get", "--resource=nodes")
    kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", "--group=g")
    kubectl("create", "priorityclass", name, "--value=1000")
    assert kubectl.value(f"priorityclass/{name}", ".value") == "1000"


def test_a_deployment_is_exposed_scaled_changed_and_deleted(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "app", "--image=nginx", "--port=80")
    kubectl("expose", "deployment", "app", "--target-port=8080")
    assert kubectl.value("service/app", ".spec.ports[0].targetPort") == "8080"
    kubectl("scale", "deployment", "app", "--replicas=0")
    assert kubectl.value("deployment/app", ".spec.replicas") == "0"
    kubectl("set", "image", "deployment/app", "nginx=nginx:2")
    kubectl("patch", "deployment", "app", "-p", '{"spec":{"replicas":3}}')
    kubectl("autoscale", "deployment", "app", "--max=4", "--cpu-percent=50")
    kubectl("rollout", "restart", "deployment", "app")
    kubectl("rollout", "pause", "deployment", "app")
    kubectl("wait", "deployment/app", "--for=jsonpath={.spec.replicas}=3", "--timeout=10s")
    assert "nginx:2" in kubectl("describe", "deployment", "app")
    kubectl("delete", "deployment,service,hpa", "app")
    kubectl("wait", "--for=delete", "deployment/app", "--timeout=10s")


def test_a_pod_is_run_labelled_annotated_and_deleted(kubectl: Kubectl) -> None:
    kubectl("run", "one", "--image=nginx", "--env=A=b", "--port=80", "--expose")
    kubectl("label", "pod", "one", "tier=front")
    kubectl("annotate", "pod", "one", "note=a")
    kubectl("annotate", "--overwrite", "pod", "one", "note=b")
    assert kubectl.value("pod/one", ".metadata.annotations.note") == "b"
    assert "one" in kubectl("get", "pods", "-l", "tier=front")
    assert "nginx" in kubectl("describe", "pod", "one")
    kubectl("delete", "pod", "one", "--force", "--grace-period=0")
    kubectl("get", "pod", "one", code=1)


def test_an_object_is_edited(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "edited", "--from-literal=a=before")
    assert "edit cancelled" in kubectl("edit", "configmap", "edited").lower()
    kubectl("edit", "configmap", "edited", editor="sed -i s/before/after/")
    assert kubectl.value("configmap/edited", ".data.a") == "after"


MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: applied}
spec:
  selector: {matchLabels: {app: applied}}
  template:
    metadata: {labels: {app: applied}}
    spec: {containers: [{name: c, image: nginx}]}
"""


def test_a_manifest_is_applied_compared_and_replaced(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    kubectl("diff", "-f", "-", stdin=MANIFEST)
    changed = MANIFEST.replace("nginx", "nginx:2")
    assert "nginx:2" in kubectl("diff", "-f", "-", stdin=changed, code=1)
    assert "configured" in kubectl("apply", "-f", "-", stdin=changed)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=changed)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=changed)
    kubectl("replace", "-f", "-", stdin=MANIFEST)
    assert kubectl.value("deployment/applied", ".spec.template.spec.containers[0].image") == "nginx"
    assert 'unknown field "spec.nothing"' in kubectl("apply", "-f", "-", stdin=MANIFEST + "  nothing: 1\n", code=1)
    kubectl("delete", "-f", "-", stdin=MANIFEST)


def test_tokens_are_created(kubectl: Kubectl) -> None:
    assert kubectl("create", "token", "default", "--duration=20m").strip().count(".") == 2


def test_a_node_is_cordoned_tainted_and_drained(kubectl: Kubectl) -> None:
    name = f"node-{kubectl.namespace}"
    kubectl("create", "-f", "-", stdin=f'{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"{name}"}}}}')
    kubectl("cordon", name)
    assert kubectl.value(f"node/{name}", ".spec.unschedulable") == "true"
    kubectl("taint", "node", name, "a=b:NoSchedule")
    kubectl("drain", name)
    kubectl("uncordon", name)
    assert kubectl.value(f"node/{name}", ".spec.unschedulable") == ""


QUESTIONS: tuple[tuple[str, str], ...] = (
    ("explain deployment.spec.replicas", "Number of desired pods"),
    ("explain pod.spec.containers.resources", "limits"),
    ("explain cronjobs --recursive", "schedule"),
    ("api-versions", "apps/v1"),
    ("api-resources", "deployments"),
    ("cluster-info", "control plane"),
    ("version", "v1.36"),
    ("auth can-i --list", "*.*"),
    ("auth can-i create deployments", "yes"),
    ("events", ""),
    ("get events", ""),
    ("get all", ""),
    ("get --raw /readyz", "ok"),
)


@pytest.mark.parametrize(("question", "answer"), QUESTIONS, ids=[each[0] for each in QUESTIONS])
def test_questions_are_answered(kubectl: Kubectl, question: str, answer: str) -> None:
    assert answer in kubectl(*question.split())
