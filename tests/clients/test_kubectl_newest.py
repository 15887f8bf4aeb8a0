"""What the newest kubectl has that older ones have not, or that is asked of every kind there is: 1.36 and later."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml

from ..controlplane.apiserver.http.conftest import ApiServer
from ..controlplane.apiserver.http.test_kubectl import Kubectl
from .objects import WIDGETS, deployment, pod
from .programs import everything, program

pytestmark = [pytest.mark.kubectl, everything]


@pytest.fixture(scope="module")
def kubectl(served: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    made = Kubectl(program("kubectl.sid", bring="kubectl"), served, tmp_path_factory.mktemp("newest"))
    made.namespace = "newest"
    made("create", "namespace", made.namespace)
    made("create", "serviceaccount", "default")
    return made


def text(*objects: object) -> str:
    """Manifests as kubectl reads them."""
    return yaml.safe_dump_all(objects)


def config_map(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.mark.timeout(600)
def test_every_kind_is_explained_to_its_last_field_listed_and_described(kubectl: Kubectl) -> None:
    rows = [row.split() for row in kubectl("api-resources", "--no-headers").splitlines()]
    assert len(rows) > 60
    for name, *_, version, _, kind in rows:
        if version.startswith("metrics.k8s.io/"):
            continue  # not in the OpenAPI documents
        told = kubectl("explain", name, "--recursive", f"--api-version={version}")
        assert re.search(rf"^KIND: +{kind}\nVERSION: +{version.rpartition('/')[2]}\n", told, re.MULTILINE), told[:200]
        assert "FIELDS:" in told, name
    for name in kubectl("api-resources", "--verbs=list", "-o", "name").split():
        if name.endswith("metrics.k8s.io"):
            continue  # of nodes and pods, of which there are none
        assert not kubectl("get", name, "-A", "-o", "wide").lower().startswith("error"), name
        assert "panic" not in kubectl("describe", name, "-A").lower(), name
    assert "maxSurge" in kubectl("explain", "deploy.spec.strategy", "--recursive", "--output=plaintext-openapiv2")


@pytest.mark.parametrize("parent", ["configmaps/fruits", "secrets/fruits", "fruits"])
def test_an_apply_set_prunes_what_left_it(kubectl: Kubectl, parent: str) -> None:
    kubectl._environment["KUBECTL_APPLYSET"] = "true"
    one, two = config_map("apple"), config_map("pear")
    words = ("apply", "--prune", f"--applyset={parent}", "-f", "-")
    kubectl(*words, stdin=text(one, two, deployment("fruit", 0)))
    label = kubectl.value("configmap/apple", r".metadata.labels.applyset\.kubernetes\.io/part-of")
    assert re.fullmatch(r"applyset-[\w-]{43}-v1", label)
    told = kubectl(*words, stdin=text(one))
    assert "configmap/pear pruned" in told
    assert "deployment.apps/fruit pruned" in told
    kubectl("get", "configmap", "pear", code=1)
    kubectl("delete", "configmap", "apple")


def test_preferences_give_commands_other_names_and_defaults(kubectl: Kubectl, tmp_path: Path) -> None:
    preferences = {
        "apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference",
        "defaults": [{"command": "delete", "options": [{"name": "interactive", "default": "true"}]}],
        "aliases": [{"name": "names", "command": "get", "appendArgs": ["configmaps"],
                     "options": [{"name": "output", "default": "name"}]}],
    }  # fmt: skip
    path = tmp_path / "kuberc"
    path.write_text(yaml.safe_dump(preferences))
    kubectl("create", "configmap", "preferred")
    kubectl("config", "set-context", "--current", f"--namespace={kubectl.namespace}")
    environment = {**kubectl._environment, "KUBERC": str(path)}

    def run(*words: str) -> str:
        done = subprocess.run([kubectl.program, *words], env=environment, input="n\n", capture_output=True, text=True,
                              timeout=30)  # fmt: skip
        return done.stdout + done.stderr

    assert "configmap/preferred" in run("names").split()
    assert "Do you want to continue?" in run("delete", "configmap", "preferred")
    assert kubectl.value("configmap/preferred", ".metadata.name") == "preferred"


def test_subresources_are_read_and_written(kubectl: Kubectl) -> None:
    burstable = pod("sub")
    burstable["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1m"}}
    kubectl("create", "-f", "-", stdin=text(deployment("sub", 3), burstable))
    scale = orjson.loads(kubectl("get", "deployment", "sub", "--subresource=scale", "-o", "json"))
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 3, "app=sub")
    kubectl("patch", "deployment", "sub", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":1}}')
    assert kubectl.value("deployment/sub", ".spec.replicas") == "1"
    kubectl("patch", "pod", "sub", "--subresource=status", "-p", '{"status":{"phase":"Running"}}')
    assert "Running" in kubectl("get", "pod", "sub", "--subresource=status")
    kubectl("patch", "pod", "sub", "--subresource=resize", "-p",
            '{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"5m"}}}]}}')  # fmt: skip
    assert kubectl.value("pod/sub", ".spec.containers[0].resources.requests.cpu") == "5m"
    kubectl("edit", "pod", "sub", "--subresource=status", editor="sed -i s/Running/Succeeded/")
    assert kubectl.value("pod/sub", ".status.phase") == "Succeeded"
    status = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sub"}, "status": {"message": "applied"}}
    kubectl("apply", "--server-side", "--subresource=status", "-f", "-", stdin=text(status))
    assert kubectl.value("pod/sub", ".status.message") == "applied"
    kubectl("scale", "deployment/sub", "--current-replicas=1", "--replicas=2")
    assert "Expected replicas to be 7, was 2" in kubectl(
        "scale", "deployment/sub", "--current-replicas=7", "--replicas=1", code=1
    )


def test_what_is_awaited_may_not_be_there_yet(kubectl: Kubectl) -> None:
    assert "timed out" in kubectl("wait", "--for=create", "configmap/later", "--timeout=1s", code=1)
    kubectl("create", "configmap", "later")
    assert "condition met" in kubectl("wait", "--for=create", "configmap/later", "--timeout=5s")
    kubectl("patch", "configmap", "later", "-p", '{"data":{"a":"b"}}')
    assert "condition met" in kubectl("wait", "--for=jsonpath={.data.a}=b", "configmap/later", "--timeout=5s")


def test_raw_requests_and_validation_take_every_form(kubectl: Kubectl) -> None:
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps"
    body = orjson.dumps(config_map("raw")).decode()
    assert orjson.loads(kubectl("create", "--raw", path, "-f", "-", stdin=body))["metadata"]["name"] == "raw"
    assert orjson.loads(kubectl("replace", "--raw", f"{path}/raw", "-f", "-", stdin=body))["kind"] == "ConfigMap"
    assert orjson.loads(kubectl("delete", "--raw", f"{path}/raw"))["status"] == "Success"
    wrong = {**config_map("wrong"), "nothing": 1}
    assert 'unknown field "nothing"' in kubectl("apply", "--validate=strict", "-f", "-", stdin=text(wrong), code=1)
    assert 'unknown field "nothing"' in kubectl("apply", "--validate=warn", "-f", "-", stdin=text(wrong))
    assert "unknown field" not in kubectl("apply", "--validate=ignore", "-f", "-", stdin=text(wrong))
    assert "server dry run" in kubectl(
        "apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text(config_map("dry"))
    )
    kubectl("get", "configmap", "dry", code=1)
    assert "(server dry run)" in kubectl("delete", "configmap", "wrong", "--dry-run=server")
    changed = text({**config_map("wrong"), "data": {"a": "b"}})
    assert "wrong" in kubectl("diff", "--server-side", "-f", "-", stdin=changed, code=1)


def test_events_are_those_of_an_object(kubectl: Kubectl) -> None:
    subject = {"apiVersion": "v1", "kind": "ConfigMap", "name": "subject", "namespace": kubectl.namespace}
    for kind, reason in (("Normal", "Fine"), ("Warning", "Bad")):
        event = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"subject.{reason.lower()}"}, "type": kind,
            "reason": reason, "message": "said", "involvedObject": subject, "lastTimestamp": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        kubectl("create", "-f", "-", stdin=text(event))
    assert re.search(r"Warning +Bad +ConfigMap/subject +said", kubectl("events", "--types=Warning"))
    assert "Fine" not in kubectl("events", "--types=Warning")
    assert "Fine" in kubectl("events", "--for=configmap/subject")


def test_tokens_are_bound_and_autoscalers_watch_memory(kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "bound")
    uid = kubectl.value("secret/bound", ".metadata.uid")
    token = kubectl("create", "token", "default", "--bound-object-kind=Secret", "--bound-object-name=bound",
                    f"--bound-object-uid={uid}", "--audience=https://kubernetes.default.svc")  # fmt: skip
    assert token.strip().count(".") == 2
    kubectl("create", "-f", "-", stdin=text(deployment("memory")))
    kubectl("autoscale", "deployment", "memory", "--max=4", "--memory=50%", "--name=memory")
    assert kubectl.value("hpa/memory", ".spec.metrics[0].resource.name") == "memory"


def test_a_custom_kind_is_known_as_soon_as_it_is_established(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=text(WIDGETS))
    kubectl("wait", "crd/widgets.clients.example.com", "--for=condition=Established", "--timeout=30s")
    widget = {"apiVersion": "clients.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    kubectl("apply", "--server-side", "-f", "-", stdin=text(widget))
    listed = orjson.loads(
        kubectl("get", "--raw", f"/apis/clients.example.com/v1/namespaces/{kubectl.namespace}/widgets")
    )
    assert listed["items"][0]["kind"] == "Widget"  # the items of custom kinds say what they are
    assert "size" in kubectl("explain", "widget", "--recursive")
