"""The kubelet with the real runtime and the real API server, which it runs itself as a static pod; no control plane."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from panal import pki, quantity, staticpods
from panal.client import Client, Unreachable, until_reachable
from panal.config import ClusterConfig, NodeConfig, NodeSpec, dump
from panal.errors import NotFound, StatusError
from panal.paths import ClusterPaths
from panal.resources import CONFIGMAPS, EVENTS, NODES, PODS, SERVICEACCOUNTS

Object = dict[str, Any]
pytestmark = pytest.mark.asyncio(loop_scope="module")


class LiveNode:
    """One node of the loopback network: its folder, its processes, a client of its API server."""

    def __init__(self, root: Path, memory: str = "10Gi") -> None:
        net = f"127.{random.randint(20, 200)}.{random.randint(1, 250)}"
        self.spec = NodeSpec("nodo1", f"{net}.100", f"{net}.128/25", memory=memory, control_plane=True)
        self.cluster = ClusterConfig(
            "t", "loopback", "userspace", "plain", (self.spec,), (), pod_cidr=f"{net}.0/24",
            service_cidr="127.96.0.0/16", dns_service_ip="127.96.0.10",
        )  # fmt: skip
        self.paths = ClusterPaths(root)
        self.node = self.paths.node("nodo1")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.client: Client = None  # type: ignore[assignment]

    def write(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        stranger = pki.create(self.cluster, self.paths, now).client("stranger", ["system:authenticated"], now)
        (self.paths.pki / "stranger.crt").write_bytes(stranger.certificate)
        (self.paths.pki / "stranger.key").write_bytes(stranger.key)
        self.node.manifests.mkdir(parents=True)
        self.paths.run.mkdir()
        cluster = self.cluster
        config = NodeConfig(
            "t", self.spec, "loopback", "userspace", "plain", str(self.paths.root), pki.node_server(cluster),
            cluster.dns_service_ip, cluster.cluster_domain, cluster.service_cidr, cluster.pod_cidr,
        )  # fmt: skip
        self.node.config.write_bytes(dump(config))
        manifest = staticpods.control_plane(cluster, self.paths)[0]
        only = manifest["spec"]["containers"][0]
        only["command"] = [word for word in only["command"] if "edge-socket" not in word]
        only["volumeMounts"] = [mount for mount in only["volumeMounts"] if mount["name"] != "edge"]
        manifest["spec"]["volumes"] = [volume for volume in manifest["spec"]["volumes"] if volume["name"] != "edge"]
        manifest["spec"]["terminationGracePeriodSeconds"] = 1
        (self.node.manifests / "kube-apiserver.json").write_bytes(orjson.dumps(manifest))
        kubeconfig = orjson.loads(self.paths.kubeconfig.read_bytes())
        kubeconfig["clusters"][0]["cluster"]["server"] = pki.node_server(cluster)
        self.paths.kubeconfig.write_bytes(orjson.dumps(kubeconfig))

    def start(self, part: str, code: str = "") -> None:
        """Start it, as it is or with this code before it."""
        program = f"{code}; from panal.agents.{part}.__main__ import main; import sys; sys.exit(main(sys.argv[1:]))"
        what = ("-c", program) if code else ("-m", f"panal.agents.{part}")
        with (self.paths.root / f"{part}.log").open("ab") as output:
            self.processes[part] = subprocess.Popen(
                [sys.executable, *what, "--config", str(self.node.config)],
                stderr=output,
                env={**os.environ, "PANAL_NETWORK": "loopback", "PANAL_LOW_PORTS": "shifted"},
            )

    def end(self, part: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(part)
        process.send_signal(number)
        process.wait(10)

    async def create(self, pod: Object) -> Object:
        return await self.client.create(PODS, pod, "default")

    async def until(self, name: str, check: Any, seconds: float = 20) -> Object:
        """The pod, once `check` holds of it."""
        found: Object = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        found = await self.client.get(PODS, name, "default")
                        if check(found):
                            return found
                    except (Unreachable, NotFound):
                        pass
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{name} never came there: {orjson.dumps(found.get('status')).decode()}") from None

    async def until_gone(self, name: str) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    await self.client.get(PODS, name, "default")
                except NotFound:
                    return
                await asyncio.sleep(0.02)

    async def events(self, name: str) -> list[tuple[str, str]]:
        await asyncio.sleep(0.5)
        found = await self.client.list(EVENTS, "default", field_selector=f"involvedObject.name={name}")
        return [(item["reason"], item["message"]) for item in found["items"]]

    async def logs(self, path: str, user: str = "apiserver-kubelet-client") -> tuple[int, str]:
        """Ask the kubelet's own port, as the API server (or another) would."""
        folder = self.paths.pki
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        context.load_cert_chain(folder / f"{user}.crt", folder / f"{user}.key")
        url = f"https://{self.spec.address}:10250/containerLogs/default/{path}"
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
            return response.status, await response.text()


@asynccontextmanager
async def living(root: Path, memory: str = "10Gi") -> AsyncIterator[LiveNode]:
    node = LiveNode(root, memory)
    node.write()
    try:
        node.start("runtime")
        node.start("kubelet")
        async with Client.from_kubeconfig(node.paths.kubeconfig) as node.client:
            await until_reachable(node.client, seconds=20)
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            await node.client.create(SERVICEACCOUNTS, account, "default")
            yield node
            await _empty(node)
    finally:
        for part in list(node.processes):
            node.end(part)


async def _empty(node: LiveNode) -> None:
    """End every pod, the API server last, so that no process is left."""
    names = [pod["metadata"]["name"] for pod in (await node.client.list(PODS, "default"))["items"]]
    for name in names:
        await node.client.delete(PODS, name, "default", grace_seconds=1)
    for name in names:
        await node.until_gone(name)
    for manifest in node.node.manifests.iterdir():
        manifest.unlink()
    async with asyncio.timeout(20):
        while True:
            try:
                await node.client.request("GET", "/livez")
            except (Unreachable, StatusError):
                return
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveNode]:
    root = tmp_path_factory.mktemp("live") / "c"
    root.mkdir(mode=0o700)
    async with living(root) as found:
        yield found


def pod(name: str, command: str, **container: Any) -> Object:
    only = {"name": "main", "image": "busybox", "command": ["sh", "-c", command], **container}
    spec = {"nodeName": "nodo1", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**spec, "containers": [only]}}


def ready(found: Object) -> bool:
    return any(
        item["type"] == "Ready" and item["status"] == "True" for item in found.get("status", {}).get("conditions", ())
    )


def only(found: Object) -> Object:
    entries = found.get("status", {}).get("containerStatuses") or [{"state": {}, "lastState": {}, "restartCount": 0}]
    entry: Object = entries[0]
    return entry


async def test_a_node_registers_itself_and_shows_its_static_pods(node: LiveNode) -> None:
    async with asyncio.timeout(10):
        while True:
            mirrors = (await node.client.list(PODS, "kube-system"))["items"]
            if mirrors and ready(mirrors[0]):
                break
            await asyncio.sleep(0.05)
    found = await node.client.get(NODES, "nodo1")
    assert found["status"]["conditions"][-1]["reason"] == "KubeletReady"
    assert found["spec"]["podCIDR"] == node.spec.pod_cidr
    before, container = mirrors[0]["metadata"]["uid"], only(mirrors[0])["containerID"]
    await node.client.delete(PODS, "kube-apiserver-nodo1", "kube-system", grace_seconds=0)
    async with asyncio.timeout(10):
        while True:
            mirrors = (await node.client.list(PODS, "kube-system"))["items"]
            if mirrors and mirrors[0]["metadata"]["uid"] != before and ready(mirrors[0]):
                break
            await asyncio.sleep(0.05)
    assert (only(mirrors[0])["containerID"], only(mirrors[0])["restartCount"]) == (container, 0)


async def test_a_pod_lives_and_dies(node: LiveNode) -> None:
    await node.create(pod("web", "echo hello; trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"))
    found = await node.until("web", ready)
    assert found["status"]["phase"] == "Running"
    assert await node.logs("web/main") == (200, "hello\n")
    assert (await node.logs("web/none"))[0] == 404
    assert (await node.logs("no/main"))[0] == 404
    assert (await node.logs("web/main?previous=true")) == (
        400,
        'previous terminated container "main" in pod "web" not found',
    )
    assert (await node.logs("web/main", user="stranger"))[0] == 403
    assert {reason for reason, _ in await node.events("web")} == {"Pulled", "Created", "Started", "RuntimeLimit"}
    folder = node.node.pods / found["metadata"]["uid"]
    assert folder.exists()
    await node.client.delete(PODS, "web", "default")
    await node.until_gone("web")
    async with asyncio.timeout(5):
        while folder.exists():
            await asyncio.sleep(0.02)


async def test_who_comes_after_a_pod_deleted_without_grace_waits_for_its_room(node: LiveNode) -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.05; done"
    alike: dict[str, Any] = {"resources": {"requests": {"cpu": await _most_of_the_node(node)}}}
    await node.create(pod("holder", stubborn, **alike))
    await node.until("holder", ready)
    await node.client.delete(PODS, "holder", "default", grace_seconds=0)
    await node.create(pod("heir", stubborn, **alike))
    heir = await node.until("heir", lambda found: found["status"].get("phase") != "Pending")
    assert heir["status"]["phase"] == "Running", heir["status"]
    await node.create(pod("third", stubborn, **alike))
    refused = await node.until("third", lambda found: found["status"].get("phase") == "Failed")
    assert refused["status"]["reason"] == "OutOfcpu", "who stays is not waited for"
    for name in ("heir", "third"):
        await node.client.delete(PODS, name, "default", grace_seconds=0)


async def _most_of_the_node(node: LiveNode) -> str:
    cpu = (await node.client.get(NODES, "nodo1"))["status"]["allocatable"]["cpu"]
    return f"{int(quantity.milli(cpu) * 0.6)}m"


async def test_a_log_is_followed_until_its_container_ends(node: LiveNode) -> None:
    counting = pod("counter", "for i in 1 2 3 4; do echo $i; sleep 0.1; done")
    counting["spec"]["restartPolicy"] = "Never"
    await node.create(counting)
    await node.until("counter", lambda found: "running" in only(found)["state"] or "terminated" in only(found)["state"])
    assert await node.logs("counter/main?follow=true") == (200, "1\n2\n3\n4\n")
    found = await node.until("counter", lambda found: found["status"]["phase"] == "Succeeded")
    assert only(found)["state"]["terminated"]["reason"] == "Completed"


async def test_a_crashing_container_backs_off_and_its_last_words_are_kept(node: LiveNode) -> None:
    await node.create(pod("crash", "echo no; exit 3", terminationMessagePolicy="FallbackToLogsOnError"))
    found = await node.until(
        "crash", lambda item: only(item)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    assert only(found)["restartCount"] == 1
    ended = only(found)["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "no\n")
    message = f"Back-off restarting failed container main in pod crash_default({found['metadata']['uid']})"
    assert ("BackOff", message) in await node.events("crash")


async def test_an_image_that_nobody_has_is_told(node: LiveNode) -> None:
    await node.create(pod("odd", "true", image="example.com/no-such-image:1"))
    reasons = ("ErrImagePull", "ImagePullBackOff")
    await node.until("odd", lambda item: only(item)["state"].get("waiting", {}).get("reason") == reasons[0])
    await node.until("odd", lambda item: only(item)["state"].get("waiting", {}).get("reason") == reasons[1])
    assert ("BackOff", 'Back-off pulling image "example.com/no-such-image:1"') in await node.events("odd")


async def test_a_pod_waits_for_its_config_map_and_follows_it(node: LiveNode) -> None:
    waiting = pod("cfg", "echo $COLOR; cat $PANAL_ROOT/etc/cfg/color; echo; exec sleep 100")
    main = waiting["spec"]["containers"][0]
    main["env"] = [{"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "color"}}}]
    main["volumeMounts"] = [{"name": "cfg", "mountPath": "/etc/cfg"}]
    waiting["spec"]["volumes"] = [{"name": "cfg", "configMap": {"name": "cfg"}}]
    created = await node.create(waiting)
    await node.until("cfg", lambda item: only(item)["state"].get("waiting", {}).get("reason") == "ContainerCreating")
    words = 'MountVolume.SetUp failed for volume "cfg" : configmap "cfg" not found'
    async with asyncio.timeout(10):
        while ("FailedMount", words) not in await node.events("cfg"):
            await asyncio.sleep(0.02)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cfg"}, "data": {"color": "blue"}}
    await node.client.create(CONFIGMAPS, config_map, "default")
    await node.until("cfg", ready)
    assert await node.logs("cfg/main") == (200, "blue\nblue\n")
    await node.client.patch(CONFIGMAPS, "cfg", {"data": {"color": "red"}}, "default")
    file = node.node.pods / created["metadata"]["uid"] / "volumes/kubernetes.io~configmap/cfg/color"
    async with asyncio.timeout(5):
        while file.read_text() != "red":
            await asyncio.sleep(0.02)


async def test_a_volume_follows_also_what_changes_while_it_is_brought_up_to_date(node: LiveNode) -> None:
    names = [f"quick{number}" for number in range(3)]
    for name in names:
        await node.client.create(CONFIGMAPS, {"metadata": {"name": name}, "data": {"count": "0"}}, "default")
    quick = pod("quick", "exec sleep 100")
    quick["spec"]["containers"][0]["volumeMounts"] = [{"name": name, "mountPath": f"/etc/{name}"} for name in names]
    quick["spec"]["volumes"] = [{"name": name, "configMap": {"name": name}} for name in names]
    created = await node.create(quick)
    await node.until("quick", ready)
    folder = node.node.pods / created["metadata"]["uid"] / "volumes/kubernetes.io~configmap"
    for count in range(1, 11):
        await asyncio.gather(
            *(node.client.patch(CONFIGMAPS, name, {"data": {"count": str(count)}}, "default") for name in names)
        )
        async with asyncio.timeout(5):
            while {(folder / name / "count").read_text() for name in names} != {str(count)}:
                await asyncio.sleep(0.01)


async def test_readiness_and_liveness_are_probed(node: LiveNode) -> None:
    probe = {"exec": {"command": ["sh", "-c", "test -e $PANAL_ROOT/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    command = "cd $PANAL_ROOT/tmp; touch ok; sleep 1.2; rm ok; sleep 100"
    await node.create(pod("probed", command, readinessProbe=probe, livenessProbe={**probe, "failureThreshold": 3}))
    await node.until("probed", ready)
    await node.until("probed", lambda item: item["status"]["phase"] == "Running" and not ready(item))
    await node.until("probed", lambda item: only(item)["restartCount"] == 1)
    events = await node.events("probed")
    assert ("Killing", "Container main failed liveness probe, will be restarted") in events
    assert [reason for reason, _ in events].count("Unhealthy") >= 2


async def test_a_killed_kubelet_comes_back_and_restarts_nothing(node: LiveNode) -> None:
    await node.create(pod("kept1", "sleep 100"))
    before = await node.until("kept1", ready)
    node.end("kubelet", signal.SIGKILL)
    await node.client.delete(PODS, "kept1", "default", grace_seconds=1)
    await node.create(pod("other", "sleep 100"))
    node.start("kubelet")
    await node.until("other", ready)
    await node.until_gone("kept1")
    node.end("kubelet", signal.SIGKILL)
    other = await node.client.get(PODS, "other", "default")
    node.start("kubelet")
    await node.create(pod("third", "sleep 100"))
    await node.until("third", ready)
    after = await node.client.get(PODS, "other", "default")
    assert only(after)["containerID"] == only(other)["containerID"] != only(before)["containerID"]
    assert only(after)["restartCount"] == 0
    assert ready(after)


async def test_a_killed_api_server_is_restarted_and_its_pods_go_on(node: LiveNode) -> None:
    await node.create(pod("kept2", "sleep 100"))
    before = await node.until("kept2", ready)
    mirror = await node.client.get(PODS, "kube-apiserver-nodo1", "kube-system")
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and str(node.paths.store).encode() in _command(process):
            os.kill(int(process.name), signal.SIGKILL)
    await asyncio.sleep(0.1)
    await until_reachable(node.client, seconds=20)
    async with asyncio.timeout(10):
        while only(await _mirror(node))["restartCount"] != only(mirror)["restartCount"] + 1:
            await asyncio.sleep(0.05)
    assert only(await node.until("kept2", ready))["containerID"] == only(before)["containerID"]


async def _mirror(node: LiveNode) -> Object:
    try:
        return await node.client.get(PODS, "kube-apiserver-nodo1", "kube-system")
    except (Unreachable, StatusError):
        return {}


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


SOON = "from panal.agents.kubelet import references; references.RENEW_AT = 1 / 1200"
"""Tokens of an hour are renewed every three seconds."""


async def test_a_service_account_token_is_asked_for_and_renewed_into_its_file(node: LiveNode) -> None:
    node.end("kubelet")
    node.start("kubelet", SOON)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await node.client.create(SERVICEACCOUNTS, account, "default")
    with_token = pod("robot", "while :; do cat $PANAL_ROOT/var/run/token/token; echo; sleep 0.1; done")
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, "audience": "somebody"}}
    with_token["spec"]["volumes"] = [{"name": "token", "projected": {"sources": [source]}}]
    with_token["spec"]["serviceAccountName"] = "robot"
    with_token["spec"]["containers"][0]["volumeMounts"] = [{"name": "token", "mountPath": "/var/run/token"}]
    await node.create(with_token)
    await node.until("robot", ready)
    tokens: set[str] = set()
    async with asyncio.timeout(30):
        while len(tokens) < 3:
            await asyncio.sleep(0.2)
            status, text = await node.logs("robot/main")
            assert status == 200
            tokens = set(text.split())
    assert {token.count(".") for token in tokens} == {2}
    await node.create(pod("beside", "exec sleep 100"))
    await node.until("beside", ready)  # who renews a token serves other pods meanwhile
    node.end("kubelet")
    node.start("kubelet")


async def test_a_pod_deleted_by_force_while_the_kubelet_was_away_is_ended(node: LiveNode) -> None:
    await node.create(pod("kept3", "sleep 100"))
    await node.create(pod("gone", "sleep 31536"))
    await node.until("kept3", ready)
    gone = await node.until("gone", ready)
    folder = node.node.pods / gone["metadata"]["uid"]
    node.end("kubelet", signal.SIGKILL)
    await node.client.delete(PODS, "gone", "default", grace_seconds=0)
    await node.until_gone("gone")
    assert folder.exists()
    node.start("kubelet")
    async with asyncio.timeout(40):
        while folder.exists() or list(node.node.pod_logs.glob("default_gone_*")):
            await asyncio.sleep(0.02)
    assert not [found for found in Path("/proc").iterdir() if b"31536" in _command(found)]
    assert only(await node.until("kept3", ready))["restartCount"] == 0


async def test_a_static_pod_follows_its_file(node: LiveNode) -> None:
    manifest = pod("static", "echo one; exec sleep 100")
    file = node.node.manifests / "static.json"

    def written(text: str) -> bytes:
        manifest["spec"]["containers"][0]["command"][-1] = f"echo {text}; exec sleep 100"
        return orjson.dumps({"kind": "Pod", **manifest})

    file.write_bytes(written("one"))
    await node.until("static-nodo1", ready)
    assert await node.logs("static-nodo1/main") == (200, "one\n")
    file.write_bytes(written("two"))
    await node.until("static-nodo1", lambda item: ready(item) and "echo two" in str(item["spec"]))
    assert await node.logs("static-nodo1/main") == (200, "two\n")
    file.unlink()
    await node.until_gone("static-nodo1")


async def test_a_killed_runtime_comes_back_with_the_pods_and_the_node_stays_ready(node: LiveNode) -> None:
    await node.create(pod("kept4", "sleep 100"))
    before = await node.until("kept4", ready)
    node.end("runtime", signal.SIGKILL)
    node.start("runtime")
    await node.create(pod("new", "sleep 100"))
    await node.until("new", ready)
    after = await node.until("kept4", ready)
    assert only(after)["containerID"] == only(before)["containerID"]
    assert only(after)["restartCount"] == 0
    found = await node.client.get(NODES, "nodo1")
    assert {item["type"]: item["status"] for item in found["status"]["conditions"]}["Ready"] == "True"


def failed(found: Object) -> bool:
    return bool(found["status"].get("phase") == "Failed")


async def test_pods_end_in_peace_within_the_time_and_no_more_are_taken(node: LiveNode) -> None:
    await node.create(pod("kind", "trap 'echo saved; exit 0' TERM; while :; do sleep 0.05; done"))
    await node.create(pod("deaf", "trap '' TERM; while :; do sleep 0.05; done"))
    for name in ("kind", "deaf"):
        await node.until(name, ready)
    path = f"/api/v1/nodes/{node.spec.name}/proxy/shutdown"
    answer = await node.client.request("POST", path, params={"grace": "3s"})
    assert orjson.loads(answer) == {"left": []}
    ended = {name: await node.until(name, failed) for name in ("kind", "deaf")}
    codes = {name: only(item)["state"]["terminated"]["exitCode"] for name, item in ended.items()}
    assert codes == {"kind": 0, "deaf": 137}
    status = ended["kind"]["status"]
    words = "Pod was terminated in response to imminent node shutdown."
    assert (status["reason"], status["message"]) == ("Terminated", words)
    assert (await node.logs("kind/main"))[1].endswith("saved\n")
    [condition] = [
        item
        for item in (await node.client.get(NODES, node.spec.name))["status"]["conditions"]
        if item["type"] == "Ready"
    ]
    assert (condition["status"], condition["message"]) == ("False", "node is shutting down")
    await node.create(pod("late", "sleep 100"))
    late = await node.until("late", failed)
    assert late["status"]["reason"] == "NodeShutdown"
    assert late["status"]["message"] == "Pod was rejected: Pod was rejected as the node is shutting down."
    node.end("kubelet", signal.SIGKILL)
    node.start("kubelet")
    await node.create(pod("again", "sleep 100"))
    await node.until("again", ready)
