"""kubectl's verbs and their forms, those that tests/controlplane/apiserver/http/test_kubectl.py has not.

Pods do not run here: exec, attach, logs, cp, port-forward, debug and top are tried in whole clusters (tests/cluster).
"""

from __future__ import annotations

import re
import subprocess
import urllib.request
from pathlib import Path

import orjson
import pytest
import yaml

from ..controlplane.apiserver.http.conftest import ApiServer
from ..controlplane.apiserver.http.test_kubectl import Kubectl, installed
from .conftest import until
from .objects import WIDGETS, deployment, pod
from .programs import everything

pytestmark = [pytest.mark.kubectl, everything]

_OLDEST = "kubectl.1.29"
"""What came before asks for versions of APIs that Kubernetes 1.36 has no longer."""


def programs() -> list[str]:
    """kubectl and every kubectl.1.N from 1.29 on."""
    return [each for each in installed() if Path(each).name == "kubectl" or Path(each).name >= _OLDEST]


@pytest.fixture(scope="module", params=programs(), ids=lambda program: Path(program).name)
def kubectl(request: pytest.FixtureRequest, served: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    made = Kubectl(request.param, served, tmp_path_factory.mktemp("verbs"))
    made("create", "namespace", made.namespace)
    made("create", "serviceaccount", "default")
    return made


def text(*objects: object) -> str:
    """Manifests as kubectl reads them."""
    return yaml.safe_dump_all(objects)


def test_every_form_of_set_changes_a_deployment(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=text(deployment("set")))
    kubectl("set", "env", "deployment/set", "A=b")
    kubectl("set", "resources", "deployment/set", "--limits=cpu=200m,memory=64Mi")
    kubectl("set", "serviceaccount", "deployment/set", "robot")
    found = orjson.loads(kubectl("get", "deployment", "set", "-o", "json"))["spec"]["template"]["spec"]
    assert found["serviceAccountName"] == "robot"
    assert found["containers"][0]["env"] == [{"name": "A", "value": "b"}]
    assert found["containers"][0]["resources"]["limits"] == {"cpu": "200m", "memory": "64Mi"}
    assert "A=b" in kubectl("set", "env", "deployment/set", "--list")
    kubectl("create", "service", "clusterip", "set", "--tcp=80")
    kubectl("set", "selector", "service", "set", "app=other")
    assert kubectl.value("service/set", ".spec.selector.app") == "other"
    kubectl("create", "role", "set", "--verb=get", "--resource=pods")
    kubectl("create", "rolebinding", "set", "--role=set", "--user=jane")
    kubectl("set", "subject", "rolebinding", "set", "--group=people")
    assert "people" in kubectl.value("rolebinding/set", ".subjects[*].name")


def test_apply_prunes_what_is_no_longer_in_the_set(kubectl: Kubectl) -> None:
    def one(name: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "prune"}}}

    kubectl("apply", "-f", "-", stdin=text(one("p1"), one("p2")))
    pruned = kubectl("apply", "--prune", "-l", "set=prune", "--prune-allowlist=core/v1/ConfigMap", "-f", "-",
                     stdin=text(one("p1")))  # fmt: skip
    assert "configmap/p2 pruned" in pruned
    view = kubectl("apply", "view-last-applied", "configmap/p1", "-o", "json")
    assert orjson.loads(view)["metadata"]["name"] == "p1"
    kubectl("create", "configmap", "bare")
    kubectl("apply", "set-last-applied", "--create-annotation", "-f", "-", stdin=text(one("bare")))
    kubectl("apply", "edit-last-applied", "configmap/bare")


def test_a_rollout_has_a_history_and_goes_back(kubectl: Kubectl) -> None:
    """Nothing rolls out here: the history is that of ReplicaSets made by hand."""
    made = deployment("history")
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}
    kubectl("create", "-f", "-", stdin=text(made))
    uid = kubectl.value("deployment/history", ".metadata.uid")
    for number, image in ((1, "nginx:1"), (2, "nginx")):
        made = deployment("history", 0)
        made["kind"] = "ReplicaSet"
        labels = {"app": "history", "pod-template-hash": f"h{number}"}
        made["metadata"] = {
            "name": f"history-h{number}", "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "history", "uid": uid,
                                 "controller": True}],
        }  # fmt: skip
        made["spec"]["selector"]["matchLabels"] = made["spec"]["template"]["metadata"]["labels"] = labels
        made["spec"]["template"]["spec"]["containers"][0]["image"] = image
        kubectl("create", "-f", "-", stdin=text(made))
    assert re.search(r"1 +<none>\n2 +<none>", kubectl("rollout", "history", "deployment/history"))
    assert "nginx:1" in kubectl("rollout", "history", "deployment/history", "--revision=1")
    kubectl("rollout", "undo", "deployment/history", "--to-revision=1")
    assert kubectl.value("deployment/history", ".spec.template.spec.containers[0].image") == "nginx:1"
    kubectl("rollout", "pause", "deployment/history")
    assert "paused" in kubectl("rollout", "restart", "deployment/history", code=1)
    kubectl("rollout", "resume", "deployment/history")
    assert kubectl.value("deployment/history", ".spec.paused") == ""


def test_output_takes_every_form_and_lists_come_in_pages(kubectl: Kubectl) -> None:
    for index in range(3):
        kubectl("create", "configmap", f"form{index}", f"--from-literal=a={index}")
    names = [f"configmap/form{index}" for index in range(3)]
    listed = kubectl("get", "configmaps", "--chunk-size=1", "-o", "name")
    assert [line for line in listed.split() if "form" in line] == names
    assert kubectl("get", "cm/form1", "-o", "custom-columns=N:.metadata.name,A:.data.a").split() == [
        "N", "A", "form1", "1",
    ]  # fmt: skip
    assert kubectl("get", "cm", "form2", "-o", "go-template={{.data.a}}") == "2"
    assert "form0" in kubectl("get", "cm", "--sort-by=.metadata.creationTimestamp", "--no-headers", "-A")
    assert kubectl("get", "cm", "form0", "-o", "yaml", "--show-managed-fields").count("manager: kubectl-create") == 1
    assert "metadata.name%3Dform1" in kubectl("get", "cm", "--field-selector=metadata.name=form1", "-v=6")
    assert "not found" in kubectl("get", "cm", "nothing", code=1)
    assert kubectl("get", "cm", "nothing", "--ignore-not-found") == ""
    assert 'the server doesn\'t have a resource type "nothings"' in kubectl("get", "nothings", code=1)
    assert "default" in kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/serviceaccounts")


def test_a_watch_prints_what_changes(kubectl: Kubectl) -> None:
    command = [kubectl.program, "-n", kubectl.namespace, "get", "cm", "-w", "-l", "w=1", "--output-watch-events"]
    with subprocess.Popen(command, env=kubectl._environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w", "labels": {"w": "1"}}}
            kubectl("create", "-f", "-", stdin=text(body))
            assert watching.stdout.readline().split() == ["EVENT", "NAME", "DATA", "AGE"]
            assert watching.stdout.readline().split()[:3] == ["ADDED", "w", "0"]
            kubectl("patch", "cm", "w", "-p", '{"data":{"a":"b"}}')
            assert watching.stdout.readline().split()[:3] == ["MODIFIED", "w", "1"]
            kubectl("delete", "cm", "w")
            assert watching.stdout.readline().split()[:2] == ["DELETED", "w"]
        finally:
            watching.kill()


def test_conditions_are_waited_for(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=text(pod("waited")))
    command = [kubectl.program, "-n", kubectl.namespace, "wait", "pod/waited", "--for=condition=Ready", "--timeout=30s"]
    with subprocess.Popen(command, env=kubectl._environment, stdout=subprocess.PIPE, text=True) as waiting:
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        kubectl("patch", "pod", "waited", "--subresource=status", "-p", orjson.dumps({"status": status}).decode())
        assert waiting.communicate()[0] == "pod/waited condition met\n"
    assert "timed out" in kubectl("wait", "pod/waited", "--for=condition=Gone", "--timeout=1s", code=1)
    kubectl("replace", "--force", "-f", "-", stdin=text(pod("waited")))
    assert kubectl.value("pod/waited", ".status.conditions") == ""


def test_certificates_are_approved_and_denied(kubectl: Kubectl) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    import base64

    encoded = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    for verb in ("approve", "deny"):
        body = {
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": f"{kubectl.namespace}-{verb}"},
            "spec": {"request": encoded, "signerName": "example.com/mine", "usages": ["client auth"]},
        }  # fmt: skip
        kubectl("create", "-f", "-", stdin=text(body))
        kubectl("certificate", verb, f"{kubectl.namespace}-{verb}")
    listed = kubectl("get", "csr")
    assert re.search(rf"{kubectl.namespace}-approve .*Approved", listed)
    assert re.search(rf"{kubectl.namespace}-deny .*Denied", listed)


def test_rights_are_asked_for_and_reconciled(kubectl: Kubectl) -> None:
    assert "admin" in kubectl("auth", "whoami")
    metadata = {"name": "reconciled", "namespace": kubectl.namespace}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
    assert "reconciled" in kubectl("auth", "reconcile", "-f", "-", stdin=text(role))
    rule["verbs"] = ["list"]
    kubectl("auth", "reconcile", "-f", "-", stdin=text(role))
    assert kubectl.value("role/reconciled", ".rules[*].verbs") == '["get"] ["list"]'
    assert kubectl("auth", "can-i", "get", "pods", "--as=nobody", code=1).strip() == "no"
    kubectl("create", "rolebinding", "reconciled", "--role=reconciled", "--user=nobody")
    assert kubectl("auth", "can-i", "get", "pods", "--as=nobody").strip() == "yes"
    assert "cannot create resource" in kubectl("create", "cm", "x", "--as=nobody", code=1)


def test_the_proxy_passes_requests_on(kubectl: Kubectl) -> None:
    with subprocess.Popen(
        [kubectl.program, "proxy", "--port=0"], env=kubectl._environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            assert found
            with urllib.request.urlopen(
                f"http://{found[0]}/api/v1/namespaces/{kubectl.namespace}", timeout=20
            ) as answer:
                assert orjson.loads(answer.read())["metadata"]["name"] == kubectl.namespace
        finally:
            process.kill()


def test_a_kustomization_is_built_and_applied(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [web.yaml]\nnamePrefix: k-\nconfigMapGenerator: [{name: c, literals: [a=b]}]\n"
    )
    (tmp_path / "web.yaml").write_text(text(deployment("web")))
    assert "name: k-web" in kubectl("kustomize", str(tmp_path))
    kubectl("apply", "-k", str(tmp_path))
    assert kubectl.value("deployment/k-web", ".metadata.name") == "k-web"
    kubectl("delete", "-k", str(tmp_path))


def test_a_custom_kind_is_explained_got_by_its_short_name_and_edited(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=text(WIDGETS))
    kubectl("wait", "crd/widgets.clients.example.com", "--for=condition=Established", "--timeout=30s")
    body = {"apiVersion": "clients.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    until("it is in discovery", lambda: "widgets" in kubectl("api-resources", "--api-group=clients.example.com"))
    kubectl("apply", "-f", "-", stdin=text(body))
    assert "w" in kubectl("get", "wi")
    assert "size" in kubectl("explain", "widgets.spec")
    refused = kubectl("patch", "widget", "w", "--type=merge", "-p", '{"spec":{"size":0}}', code=1)
    assert "spec.size in body should be greater than or equal to 1" in refused
    other = ("--server-side", "--field-manager=other", "-f", "-")
    assert 'conflict with "kubectl' in kubectl("apply", *other, stdin=text({**body, "spec": {"size": 3}}), code=1)
    kubectl("apply", "--force-conflicts", *other, stdin=text({**body, "spec": {"size": 3}}))
    assert kubectl.value("widget/w", ".spec.size") == "3"
    assert "Size:  3" in kubectl("describe", "widget", "w")


def test_what_the_cluster_is_gets_dumped_and_configured(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("cluster-info", "dump", f"--output-directory={tmp_path}", f"--namespaces={kubectl.namespace}")
    assert (tmp_path / kubectl.namespace / "pods.json").exists()
    assert "test" in kubectl("config", "get-clusters")
    assert "__start_kubectl" in kubectl("completion", "bash")
    assert "unable to find any kubectl plugins" in kubectl("plugin", "list", code=1)
    assert "--as-group" in kubectl("options")
