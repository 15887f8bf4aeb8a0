"""What a manifest says about a pod is what its processes see."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import orjson
import pytest
from harness import Cluster, until

PROBE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hola, "file.txt": "line one\\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {password: "p'w $x"}
---
apiVersion: v1
kind: Pod
metadata:
  name: witness
  labels: {app: witness}
spec:
  hostAliases: [{ip: 10.1.2.3, hostnames: [alias.example]}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c]
    args:
    - |
      R=$PANAL_ROOT
      echo "env $GREETING $PASSWORD $POD_NAME $NODE_IP $EXPANDED"
      echo "config $(cat $R/etc/settings/file.txt)"
      echo "secret $(cat $R/etc/hidden/password)"
      echo "token $(wc -c < $R/var/run/secrets/kubernetes.io/serviceaccount/token)"
      echo "namespace $(cat $R/var/run/secrets/kubernetes.io/serviceaccount/namespace)"
      echo kept > $R/scratch/file && echo "scratch $(cat $R/scratch/file)"
      [ -n "$R" ] || echo "hosts $(grep -c alias.example /etc/hosts) $(grep -c witness /etc/hosts)"
      echo "search $(grep ^search $R/etc/resolv.conf)"
      echo "labels $(cat $R/etc/podinfo/labels)"
      echo to-stderr >&2
      exec sleep 1000
    env:
    - {name: GREETING, valueFrom: {configMapKeyRef: {name: settings, key: greeting}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: hidden, key: password}}}
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: EXPANDED, value: "<$(GREETING)>"}
    volumeMounts:
    - {name: settings, mountPath: /etc/settings}
    - {name: hidden, mountPath: /etc/hidden, readOnly: true}
    - {name: scratch, mountPath: /scratch}
    - {name: podinfo, mountPath: /etc/podinfo}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: hidden, secret: {secretName: hidden}}
  - {name: scratch, emptyDir: {}}
  - name: podinfo
    downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
"""


def test_a_pod_sees_its_environment_its_volumes_and_its_names(cluster: Cluster) -> None:
    cluster.apply(PROBE)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/witness", "--timeout=30s")
    log = until(lambda: text if "to-stderr" in (text := cluster.kubectl("logs", "witness")) else "")
    lines = dict(line.split(" ", 1) for line in log.splitlines() if " " in line)
    pod = cluster.get("pod", "witness")
    assert lines["env"] == f"hola p'w $x witness {pod['status']['hostIP']} <hola>"
    assert lines["config"] == "line one"
    assert lines["secret"] == "p'w $x"
    assert int(lines["token"]) > 200
    assert lines["namespace"] == "default"
    assert lines["scratch"] == "kept"
    if cluster.variant.network == "netns":
        assert lines["hosts"] == "1 1"
    searches = lines["search"].split()  # the machine's own may follow where its resolvers are the node's
    assert searches[:4] == ["search", "default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    assert len(searches) == 4 or cluster.variant.network == "loopback"
    assert 'app="witness"' in lines["labels"]
    assert "to-stderr" in log
    cluster.kubectl("delete", "pod", "witness", "--grace-period=1", "--timeout=20s")


def test_a_pod_that_fails_is_restarted_with_back_off_and_says_so(cluster: Cluster) -> None:
    cluster.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: crasher}
        spec:
          terminationGracePeriodSeconds: 0
          containers: [{name: main, image: busybox, command: [sh, -c, "echo goodbye; exit 3"]}]
        """
    )

    def in_back_off() -> bool:
        status = cluster.get("pod", "crasher")["status"]["containerStatuses"][0]
        return (
            status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
            and status["lastState"]["terminated"]["exitCode"] == 3
            and status["lastState"]["terminated"]["reason"] == "Error"
            and status["restartCount"] >= 1
        )

    until(in_back_off, what="CrashLoopBackOff")
    assert cluster.kubectl("logs", "crasher", "--previous").strip() == "goodbye"
    described = cluster.kubectl("describe", "pod", "crasher")
    assert "BackOff" in described
    assert "Back-off restarting failed container" in described
    cluster.kubectl("delete", "pod", "crasher", "--timeout=20s")


@pytest.mark.parametrize(
    ("policy", "code", "phase"), [("Never", 0, "Succeeded"), ("Never", 1, "Failed"), ("OnFailure", 0, "Succeeded")]
)
def test_a_pod_that_ends_has_the_phase_its_policy_says(cluster: Cluster, policy: str, code: int, phase: str) -> None:
    name = f"ends-{policy.lower()}-{code}"
    cluster.apply(
        f"""
        apiVersion: v1
        kind: Pod
        metadata: {{name: {name}}}
        spec:
          restartPolicy: {policy}
          containers: [{{name: main, image: busybox, command: [sh, -c, "exit {code}"]}}]
        """
    )
    until(lambda: cluster.get("pod", name)["status"]["phase"] == phase, what=phase)
    cluster.kubectl("delete", "pod", name, "--timeout=20s")


def test_readiness_by_exec_follows_the_command(cluster: Cluster) -> None:
    cluster.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: gate, labels: {app: gate}}
        spec:
          terminationGracePeriodSeconds: 0
          containers:
          - name: main
            image: busybox
            command: [sh, -c, "sleep 2; touch $PANAL_ROOT/data/open; sleep 1000"]
            readinessProbe: {exec: {command: [sh, -c, "test -e $PANAL_ROOT/data/open"]}, periodSeconds: 1}
            volumeMounts: [{name: data, mountPath: /data}]
          volumes: [{name: data, emptyDir: {}}]
        """
    )
    until(lambda: cluster.get("pod", "gate")["status"]["phase"] == "Running")
    assert cluster.get("pod", "gate")["status"]["containerStatuses"][0]["ready"] is False
    cluster.kubectl("wait", "--for=condition=Ready", "pod/gate", "--timeout=20s")
    assert "Readiness probe failed" in cluster.kubectl("describe", "pod", "gate")
    cluster.kubectl("delete", "pod", "gate", "--timeout=20s")


def test_an_unknown_image_says_what_to_do(cluster: Cluster) -> None:
    cluster.kubectl("run", "strange", "--image=example.com/nobody/has-this:1")

    def reason() -> str:
        status = cluster.get("pod", "strange")["status"]["containerStatuses"][0]
        return str(status["state"]["waiting"]["reason"])

    until(lambda: reason() in ("ErrImagePull", "ImagePullBackOff"))
    assert "example.com/nobody/has-this:1" in cluster.kubectl("describe", "pod", "strange")
    cluster.kubectl("delete", "pod", "strange", "--timeout=20s")


def test_a_pod_too_large_for_every_node_stays_pending_with_the_reason(cluster: Cluster) -> None:
    cluster.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: giant}
        spec:
          containers: [{name: main, image: busybox, command: [sleep, "1000"], resources: {requests: {cpu: "64"}}}]
        """
    )
    events = until(lambda: [e for e in cluster.get("events")["items"] if e["reason"] == "FailedScheduling"])
    message = events[-1]["message"]
    assert message.startswith("0/4 nodes are available: ")
    assert "3 Insufficient cpu" in message
    assert "1 node(s) had untolerated taint" in message
    cluster.kubectl("delete", "pod", "giant", "--timeout=20s")


def test_nginx_from_its_debian_package_serves_its_page(cluster: Cluster) -> None:
    cluster.kubectl("create", "deployment", "web", "--image=nginx", "--port=80")
    cluster.kubectl("expose", "deployment", "web", "--port=80")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    cluster.apply(
        textwrap.dedent(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: client}
            spec:
              restartPolicy: Never
              containers:
              - name: main
                image: python
                command:
                - python3
                - -c
                - |
                  import os, urllib.request
                  port = 10080 if os.environ.get("PANAL_LOW_PORTS") == "shifted" else 80
                  answer = urllib.request.urlopen(f"http://web:{port}/", timeout=5)
                  print(answer.status, answer.headers["Server"].partition("/")[0])
            """
        )
    )
    until(lambda: cluster.get("pod", "client")["status"]["phase"] in ("Succeeded", "Failed"), what="the client's end")
    assert cluster.kubectl("logs", "client").strip() == "200 nginx"
    cluster.kubectl("delete", "pod/client", "deployment/web", "service/web", "--timeout=30s")


HOG = """
apiVersion: v1
kind: Pod
metadata: {name: hog, labels: {app: hog}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: cpu, image: python, command: [python3, -c, "while True: pass"], resources: {requests: {cpu: 50m}}}
  - name: memory
    image: python
    command: [python3, -uc, "import time; kept = bytes(range(256)) * (40 << 12); print(len(kept)); time.sleep(1e6)"]
    resources: {requests: {memory: 32Mi}}
"""


def test_top_and_capacity_tell_at_once_what_is_used(cluster: Cluster) -> None:
    cluster.apply(HOG)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/hog", "--timeout=30s")
    until(lambda: cluster.kubectl("logs", "hog", "-c", "memory").strip())
    lines = cluster.kubectl("top", "pod", "hog", "--containers", "--no-headers").splitlines()
    used = {name: (int(cpu[:-1]), int(memory[:-2])) for _, name, cpu, memory in (line.split() for line in lines)}
    assert used["cpu"][0] > 50, "a busy loop uses what the machine has left"
    assert used["memory"][0] < used["cpu"][0]
    assert 40 <= used["memory"][1] <= 80
    node = cluster.get("pod", "hog")["spec"]["nodeName"]
    nodes = {line.split()[0]: line.split()[3] for line in cluster.kubectl("top", "nodes", "--no-headers").splitlines()}
    assert set(nodes) == {item["name"] for item in cluster.config()["nodes"]}
    assert int(nodes[node].removesuffix("Mi")) > used["memory"][1]
    table = orjson.loads(cluster.panal("capacity", "--output", "json").stdout)["nodes"]
    row = next(item for item in table if item["name"] == node)
    pod = next(item for item in row["pods"] if item["name"] == "hog")
    assert pod["committed"] == {"cpu": 50, "memory": 32 << 20}
    assert row["capacity"] == {"cpu": 4000, "memory": 10 << 30}
    assert row["uncommitted"]["cpu"] == 4000 - row["committed"]["cpu"]
    shown = cluster.panal("capacity").stdout
    assert "default/hog" in shown
    assert "all nodes" in shown
    missing = cluster.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/x", check=False)
    assert 'podmetrics.metrics.k8s.io "default/x" not found' in missing
    cluster.kubectl("delete", "pod", "hog", "--wait=false")


REFUSED = """
apiVersion: v1
kind: Pod
metadata: {name: refused-large}
spec:
  nodeName: nodoa
  containers: [{name: main, image: busybox, resources: {requests: {cpu: "500"}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: refused-place}
spec:
  nodeName: nodoa
  nodeSelector: {disk: none-such}
  containers: [{name: main, image: busybox}]
---
apiVersion: v1
kind: Pod
metadata: {name: refused-name}
spec:
  containers: [{name: main, image: "BAD/Image"}]
---
apiVersion: v1
kind: Pod
metadata: {name: refused-never}
spec:
  containers: [{name: main, image: no-such-image, imagePullPolicy: Never}]
---
apiVersion: v1
kind: Pod
metadata: {name: refused-root}
spec:
  containers: [{name: main, image: busybox, command: [sleep, "1000"], securityContext: {runAsNonRoot: true}}]
---
apiVersion: v1
kind: Pod
metadata: {name: refused-start}
spec:
  containers: [{name: main, image: busybox, command: [no-such-program]}]
"""


def test_what_cannot_run_says_why_in_upstreams_words(cluster: Cluster) -> None:
    cluster.apply(REFUSED)

    def status(name: str) -> Any:
        return cluster.get("pod", f"refused-{name}")["status"]

    def waiting(name: str, reason: str) -> Any:
        def look() -> Any:
            found = status(name)["containerStatuses"][0]
            return found if found["state"].get("waiting", {}).get("reason") == reason else None

        return until(look)

    large = until(lambda: found if (found := status("large"))["phase"] == "Failed" else None)
    assert large["reason"] == "OutOfcpu"
    assert large["message"].startswith("Pod was rejected: Node didn't have enough resource: cpu, requested: 500000")
    assert until(lambda: status("place").get("reason")) == "NodeAffinity"
    waiting("name", "InvalidImageName")
    never = waiting("never", "ErrImageNeverPull")["state"]["waiting"]["message"]
    assert never == 'Container image "no-such-image" is not present with pull policy of Never'
    root = waiting("root", "CreateContainerConfigError")["state"]["waiting"]["message"]
    assert root.startswith("container has runAsNonRoot and image will run as root (pod: ")
    start = waiting("start", "CrashLoopBackOff")["lastState"]["terminated"]
    assert (start["exitCode"], start["reason"], start["startedAt"]) == (128, "StartError", "1970-01-01T00:00:00Z")
    assert 'exec: "no-such-program": executable file not found in $PATH' in start["message"]
    names = [f"refused-{name}" for name in ("large", "place", "name", "never", "root", "start")]
    cluster.kubectl("delete", "pod", *names, "--now")


def test_a_debug_container_joins_a_running_pod(cluster: Cluster) -> None:
    cluster.kubectl("run", "watched", "--image=busybox", "--", "sh", "-c", "exec sleep 1001")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/watched", "--timeout=30s")
    debug = ("debug", "watched", "--image=busybox", "--profile=general", "-c", "guest", "--target=watched")
    cluster.kubectl(*debug, "--", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 4")

    def ended() -> Any:
        [guest] = cluster.get("pod", "watched")["status"]["ephemeralContainerStatuses"]
        return guest["state"].get("terminated")

    assert until(ended)["exitCode"] == 4
    if cluster.variant.network == "netns":
        assert cluster.kubectl("logs", "watched", "-c", "guest").strip() == "sleep 1001"
    assert cluster.get("pod", "watched")["status"]["phase"] == "Running"
    cluster.kubectl("delete", "pod", "watched", "--now")


def test_the_kubelets_own_pages_are_read_through_the_api_server(cluster: Cluster) -> None:
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    page = f"/api/v1/nodes/{node}/proxy"
    assert cluster.kubectl("get", "--raw", f"{page}/healthz") == "ok"
    assert orjson.loads(cluster.kubectl("get", "--raw", f"{page}/pods"))["kind"] == "PodList"
    found = orjson.loads(cluster.kubectl("get", "--raw", f"{page}/configz"))["kubeletconfig"]
    assert (found["kind"], found["maxPods"]) == ("KubeletConfiguration", 110)


DOOR = """
apiVersion: v1
kind: Pod
metadata: {name: door}
spec:
  nodeName: nodoa
  containers:
  - name: main
    image: python
    command: [sh, -c, "exec python3 -m http.server 8088 --bind $POD_IP --directory /tmp"]
    env: [{name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
    ports: [{containerPort: 8088, hostPort: 18088}]
    readinessProbe: {tcpSocket: {port: 8088}}
"""


def test_a_port_of_the_node_leads_to_the_pod(cluster: Cluster) -> None:
    cluster.apply(DOOR)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/door", "--timeout=30s")
    address = cluster.get("pod", "door")["status"]["hostIP"]
    words = f"import urllib.request as u; print(u.urlopen('http://{address}:18088/', timeout=5).status)"
    until(lambda: "200" in cluster.exec_on("nodob", "python3", "-c", words))
    second = DOOR.replace("name: door", "name: door-two")
    cluster.apply(second)
    until(lambda: cluster.get("pod", "door-two")["status"].get("reason") == "NodePorts")
    cluster.kubectl("delete", "pod", "door", "door-two", "--now")
    assert "refused" in until(lambda: cluster.exec_on("nodob", "python3", "-c", words, check=False)).lower()


IN_MEMORY = """
apiVersion: v1
kind: Pod
metadata: {name: in-memory}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: first, image: busybox, command: [sh, -c, 'echo kept > $PANAL_ROOT/scratch/file'],
     volumeMounts: [{name: scratch, mountPath: /scratch}]}
  containers:
  - {name: main, image: busybox, command: [sleep, "3600"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
  volumes:
  - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 2Mi}}
"""


def test_a_folder_in_memory_is_shared_bounded_and_gone_with_its_pod(cluster: Cluster) -> None:
    if cluster.variant.network != "netns":
        pytest.skip("an ordinary folder where Panal may mount nothing of its own")
    cluster.apply(IN_MEMORY)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/in-memory", "--timeout=30s")
    assert cluster.kubectl("exec", "in-memory", "--", "cat", "/scratch/file") == "kept\n"
    mounts = cluster.kubectl("exec", "in-memory", "--", "cat", "/proc/mounts").splitlines()
    [line] = [words for words in map(str.split, mounts) if words[1] == "/scratch"]
    assert (line[2], "size=2048k" in line[3]) == ("tmpfs", True)
    token = [words for words in map(str.split, mounts) if words[1].endswith("/kubernetes.io/serviceaccount")]
    assert [words[2] for words in token] == ["tmpfs"], "secrets, tokens and their like are not on a disk either"
    fill = ["sh", "-c", "head -c 4000000 /dev/zero > /scratch/big"]
    assert "exit code 1" in cluster.kubectl("exec", "in-memory", "--", *fill, check=False)
    assert int(cluster.kubectl("exec", "in-memory", "--", "wc", "-c", "/scratch/big").split()[0]) <= 2 << 20
    uid = cluster.get("pod", "in-memory")["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "in-memory")
    until(lambda: not list(cluster.folder.glob(f"nodes/*/pods/{uid}")))
    kubelet = next(process for process in cluster.processes() if "kubelet" in " ".join(process.cmdline()))
    assert uid not in Path(f"/proc/{kubelet.pid}/mounts").read_text()
