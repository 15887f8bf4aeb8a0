"""The main job: the company of the picture, one request across all of it, and everything killed on the way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import harness
import pytest
from harness import Cluster, until
from tracing import Trace

HOST = "web1.miempresa.com"
GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"


def fetch_here(cluster: Cluster) -> str:
    """The page through this machine's own port."""
    request = urllib.request.Request(f"http://127.0.0.1:{cluster.config()['http_port']}/", headers={"Host": HOST})
    with urllib.request.urlopen(request, timeout=5) as response:
        return str(response.read().decode())


def fetch_from_menchupc(cluster: Cluster, url: str = f"http://{HOST}/") -> str:
    return cluster.exec_on("menchupc", sys.executable, "-c", GET, url)


def visit(page: str) -> int:
    match = re.match(r"Visit (\d+): wp-\S+ on nodo[abc] answers\.", page)
    assert match, page
    return int(match.group(1))


def page_again(cluster: Cluster, seconds: float = 30) -> int:
    """The count, as soon as the page answers."""
    return until(lambda: visit(fetch_here(cluster)), seconds=seconds, what="the page")


def test_every_node_is_ready_and_everything_of_the_cluster_is_a_pod(miempresa: Cluster) -> None:
    nodes = miempresa.get("nodes")["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["nodo1", "nodoa", "nodob", "nodoc"]
    for node in nodes:
        assert {"type": "Ready", "status": "True"}.items() <= next(
            c for c in node["status"]["conditions"] if c["type"] == "Ready"
        ).items()
        assert node["status"]["capacity"]["cpu"] == "4"
        assert node["status"]["capacity"]["memory"] in ("10Gi", "10485760Ki")
    pods = {pod["metadata"]["name"] for pod in miempresa.get("pods", "-n", "kube-system")["items"]}
    assert {"kube-apiserver-nodo1", "kube-controller-manager-nodo1", "kube-scheduler-nodo1"} <= pods
    assert sum(name.startswith("kube-proxy-") for name in pods) == 4
    assert sum(name.startswith("coredns-") for name in pods) == 1


def test_the_page_counts_visits_and_different_replicas_answer(miempresa: Cluster) -> None:
    first = page_again(miempresa)
    pages = [fetch_here(miempresa) for _ in range(6)]
    assert [visit(page) for page in pages] == list(range(first + 1, first + 7))
    assert len({re.search(r"wp-\S+", page).group() for page in pages}) == 3  # type: ignore[union-attr]


def test_menchupc_finds_the_page_by_its_name(miempresa: Cluster) -> None:
    first = page_again(miempresa)
    if miempresa.variant.network == "loopback":
        pytest.skip("in the loopback network MenchuPC is this machine, whose resolver is not ours to change")
    assert visit(fetch_from_menchupc(miempresa)) == first + 1


def test_every_node_answers_on_the_nodeport(miempresa: Cluster) -> None:
    page_again(miempresa)
    request = (
        "import sys, urllib.request as u; r = u.Request(sys.argv[1], headers={'Host': sys.argv[2]});"
        "print(u.urlopen(r, timeout=5).read().decode(), end='')"
    )
    for node in miempresa.config()["nodes"]:
        page = miempresa.exec_on("menchupc", sys.executable, "-c", request, f"http://{node['address']}:30880/", HOST)
        visit(page)


def test_the_rules_are_those_of_the_picture(miempresa: Cluster) -> None:
    page_again(miempresa)
    rules = miempresa.panal("rules", "nodoa").stdout
    first = "127" if miempresa.variant.network == "loopback" else "10"
    for line in (
        rf"{first}\.10\.1\.101:3307 +\(mariadb-service\) +-> {first}\.10\.0\.\d+:3306",
        rf"{first}\.10\.1\.102:8080 +\(wp-service\) +-> {first}\.10\.0\.\d+:8000 \| {first}\.10\.0\.\d+:8000 \| ",
        rf"{first}\.10\.1\.105:8081 +\(nginx\) +-> {first}\.10\.0\.\d+:80",
        r":30880",
    ):
        assert re.search(line, rules), f"{line}\n{rules}"


def test_the_ingress_says_where_it_is_reached(miempresa: Cluster) -> None:
    address = miempresa.config()["load_balancer"]["address"]
    ingress = until(lambda: miempresa.get("ingress", "web1")["status"]["loadBalancer"]["ingress"])
    assert ingress == [{"ip": address}]


def test_a_replica_killed_is_restarted_and_the_others_answer_meanwhile(miempresa: Cluster) -> None:
    before = page_again(miempresa)
    pod = miempresa.get("pods", "-l", "app=wp")["items"][0]
    process = next(
        process
        for process in miempresa.processes()
        if "/app/web.py" in " ".join(process.cmdline()) and process.environ().get("POD_NAME") == pod["metadata"]["name"]
    )
    os.kill(process.pid, signal.SIGKILL)

    def restarted() -> bool:
        status = miempresa.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"][0]
        last = status["lastState"].get("terminated", {})
        return status["restartCount"] >= 1 and status["ready"] and last.get("exitCode") == 137

    until(restarted, what="the replica's restart")
    assert page_again(miempresa) > before


def test_the_database_killed_comes_back_with_its_data(miempresa: Cluster) -> None:
    before = page_again(miempresa)
    miempresa.kill("/app/database.py")
    assert page_again(miempresa) > before


def test_the_database_pod_deleted_is_replaced_and_the_rules_follow(miempresa: Cluster) -> None:
    page_again(miempresa)
    old = miempresa.get("pods", "-l", "app=mariadb")["items"][0]["metadata"]["uid"]
    miempresa.kubectl("delete", "pod", "-l", "app=mariadb", "--timeout=60s")
    new = until(lambda: miempresa.get("pods", "-l", "app=mariadb")["items"][0])
    assert new["metadata"]["uid"] != old
    page_again(miempresa)


def test_a_kubelet_killed_comes_back_and_restarts_no_pod(miempresa: Cluster) -> None:
    page_again(miempresa)
    pods = miempresa.get("pods", "-l", "app=wp")["items"]
    ids = {s["containerID"] for pod in pods for s in pod["status"]["containerStatuses"]}
    node = pods[0]["spec"]["nodeName"]
    miempresa.kill("kubelet", f"nodes/{node}/")
    until(lambda: miempresa.find("kubelet", f"nodes/{node}/"), what="the kubelet's return")
    miempresa.kubectl("scale", "deployment", "wp", "--replicas=4")
    miempresa.kubectl("rollout", "status", "deployment/wp", "--timeout=30s")
    now = {
        s["containerID"]
        for p in miempresa.get("pods", "-l", "app=wp")["items"]
        for s in p["status"]["containerStatuses"]
    }
    assert ids <= now
    miempresa.kubectl("scale", "deployment", "wp", "--replicas=3")
    miempresa.kubectl("rollout", "status", "deployment/wp", "--timeout=30s")
    page_again(miempresa)


def test_a_kube_proxy_killed_is_restarted(miempresa: Cluster) -> None:
    page_again(miempresa)
    pods = miempresa.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-proxy")["items"]
    name = next(pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == "nodob")
    before = miempresa.get("pod", name, "-n", "kube-system")["status"]["containerStatuses"][0]["restartCount"]
    miempresa.kill("kube-proxy", "--hostname-override=nodob")
    until(
        lambda: (
            miempresa.get("pod", name, "-n", "kube-system")["status"]["containerStatuses"][0]["restartCount"] > before
        ),
        what="kube-proxy's restart",
    )
    page_again(miempresa)


def test_the_api_server_killed_comes_back_and_no_acknowledged_write_is_lost(miempresa: Cluster) -> None:
    page_again(miempresa)
    for number in range(2):
        miempresa.kubectl("create", "configmap", f"kept-{number}", f"--from-literal=n={number}")
        miempresa.kill("kube-apiserver", "--advertise-address")
        until(lambda: miempresa.get("nodes")["items"], what="the API server's return")
        assert [miempresa.get("configmap", f"kept-{n}")["data"] for n in range(number + 1)] == [
            {"n": str(n)} for n in range(number + 1)
        ]
    page_again(miempresa)


@pytest.mark.parametrize("component", ["kube-controller-manager", "kube-scheduler"])
def test_a_brain_killed_comes_back(miempresa: Cluster, component: str) -> None:
    miempresa.kill(component, "--kubeconfig")
    miempresa.kubectl("scale", "deployment", "wp", "--replicas=4")
    miempresa.kubectl("rollout", "status", "deployment/wp", "--timeout=45s")
    miempresa.kubectl("scale", "deployment", "wp", "--replicas=3")
    miempresa.kubectl("rollout", "status", "deployment/wp", "--timeout=45s")


def test_cluster_dns_and_ingress_killed_come_back(miempresa: Cluster) -> None:
    page_again(miempresa)
    miempresa.kill("cluster-dns", "-conf")
    miempresa.kill("ingress", "--publish-status-address")
    page_again(miempresa)


def test_the_load_balancer_killed_is_restarted_by_the_steward(miempresa: Cluster) -> None:
    page_again(miempresa)
    miempresa.kill("load-balancer", "--edge-socket")
    page_again(miempresa)


def test_no_request_is_lost_while_replicas_are_replaced(miempresa: Cluster) -> None:
    page_again(miempresa)
    miempresa.kubectl("rollout", "restart", "deployment/wp")
    failures = []
    for _ in range(150):
        try:
            visit(fetch_here(miempresa))
        except (urllib.error.URLError, AssertionError, OSError) as error:
            failures.append(repr(error))
    miempresa.kubectl("rollout", "status", "deployment/wp", "--timeout=60s")
    assert len(failures) <= 3, failures


def test_a_trace_shows_every_hop_as_it_was(miempresa: Cluster) -> None:
    page_again(miempresa)
    config = miempresa.config()
    trace = Trace(miempresa, f"http://{HOST}/")
    assert trace.code == 0, trace.words
    steps = ["name", "connection", "load balancer", "node", "pod", "ingress", "service", "pod", "answer"]
    assert trace.steps == steps, trace.words
    assert trace.hop("name")["addresses"] == [config["load_balancer"]["address"]]
    balancer = trace.hop("load balancer")
    workers = {node["address"]: node["name"] for node in config["nodes"]}
    assert {target.partition(":")[0] for target in balancer["candidates"]} <= {*workers}
    assert balancer["choice"] in balancer["candidates"]
    node = trace.hop("node")
    assert node["where"] == workers[balancer["choice"].partition(":")[0]]
    assert (node["kind"], node["service"], node["mode"]) == ("NodePort", "nginx", miempresa.variant.proxy_mode)
    ingress = trace.hop("pod", 0)
    assert node["choice"].partition(":")[0] == ingress["ip"]
    truth = miempresa.get("pod", "-n", "ingress", ingress["name"])
    assert (truth["status"]["podIP"], truth["spec"]["nodeName"]) == (ingress["ip"], ingress["node"])
    assert trace.hop("ingress")["rule"]["ingress"] == "default/web1"
    service, pod = trace.hop("service"), trace.hop("pod", 1)
    pods = {item["metadata"]["name"]: item for item in miempresa.get("pods", "-l", "app=wp")["items"]}
    assert {f"{item['status']['podIP']}:8000" for item in pods.values()} >= set(service["candidates"])
    assert pod["name"] == trace.answered_by
    truth = pods[pod["name"]]
    assert service["choice"] == f"{truth['status']['podIP']}:8000"
    assert pod["node"] == truth["spec"]["nodeName"]
    assert (pod["container"], pod["containerID"]) == ("web", truth["status"]["containerStatuses"][0]["containerID"])
    environ = miempresa.exec_on(pod["node"], "cat", f"/proc/{pod['pid']}/environ")
    assert f"POD_NAME={pod['name']}" in environ


@contextlib.contextmanager
def captured(cluster: Cluster, hosts: list[str]) -> Iterator[dict[str, set[tuple[str, str]]]]:
    """The connections that these hosts' wires carry while the block runs; known when it has ended."""
    found: dict[str, set[tuple[str, str]]] = {}
    running = {}
    for host in hosts:
        script = str(harness.ROOT / "tests" / "cluster" / "capture.py")
        words = [sys.executable, "-m", "panal.command", "shell", "--name", cluster.name, host, "--", "python3", script]
        running[host] = subprocess.Popen(
            cluster.user.command(words), env=cluster.user.env(), cwd=harness.ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
    try:
        for process in running.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield found
    finally:
        for host, process in running.items():
            text, _ = process.communicate(timeout=20)
            found[host] = {(source, target) for source, target in map(json.loads, text.splitlines())}


def test_a_trace_is_what_the_wires_carried(miempresa: Cluster) -> None:
    if miempresa.variant.network != "netns":
        pytest.skip("the hosts of the loopback network have no wires")
    page_again(miempresa)
    with captured(miempresa, ["menchupc", "lb", "nodoa", "nodob", "nodoc"]) as wires:
        trace = Trace(miempresa, f"http://{HOST}/")
    assert trace.code == 0, trace.words
    connection, balancer, node = (trace.hop(step) for step in ("connection", "load balancer", "node"))
    assert (connection["local"], connection["remote"]) in wires["menchupc"]
    assert (connection["local"], connection["remote"]) in wires["lb"]
    assert (balancer["source"], balancer["choice"]) in wires["lb"]
    assert (balancer["source"], balancer["choice"]) in wires[node["where"]]
    assert (node["source"], node["choice"]) in wires[node["where"]]
    assert (node["source"], node["choice"]) in wires[trace.hop("pod", 0)["node"]]
    ingress, service = trace.hop("ingress"), trace.hop("service")
    if not ingress["reused"]:
        assert (ingress["source"], ingress["target"]) in wires[service["where"]]
        assert (service["source"], service["choice"]) in wires[trace.hop("pod", 1)["node"]]


def test_a_datagram_is_traced_too(miempresa: Cluster) -> None:
    address = miempresa.config()["dns_service_ip"]
    trace = Trace(miempresa, "--from", "nodob", f"udp://{address}:53")
    assert trace.code == 0, trace.words
    assert trace.steps == ["connection", "service", "pod"], trace.words
    assert trace.hop("connection")["answered"] > 12
    assert trace.hop("service")["service"] == "kube-dns"
    assert trace.hop("pod")["name"].startswith("coredns-")


def test_a_trace_from_a_pod_goes_by_its_own_resolver_and_its_nodes_rules(miempresa: Cluster) -> None:
    page_again(miempresa)
    pod = miempresa.get("pods", "-l", "app=wp")["items"][0]
    trace = Trace(miempresa, "--from", f"default/{pod['metadata']['name']}", "wp-service:8080")
    assert trace.code == 0, trace.words
    assert trace.steps == ["name", "connection", "service", "pod"], trace.words
    assert trace.hop("name")["asked"][0]["question"] == "wp-service.default.svc.cluster.local"
    assert trace.hop("pod")["name"].startswith("wp-")
    if miempresa.variant.network == "netns":
        assert trace.hop("connection")["local"].partition(":")[0] == pod["status"]["podIP"]
        assert trace.hop("service")["where"] == pod["spec"]["nodeName"]


def test_a_trace_that_fails_says_which_step_and_why(miempresa: Cluster) -> None:
    unknown = Trace(miempresa, "http://nobody.miempresa.com/")
    assert (unknown.code, unknown.failed["step"]) == (1, "name")
    assert "NXDOMAIN" in unknown.failed["why"]
    miempresa.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: empty}\n"
        "spec: {type: NodePort, selector: {app: nobody}, ports: [{port: 8099, nodePort: 30899}]}\n"
    )
    until(lambda: "(empty)" in miempresa.panal("rules", "nodoa").stdout, what="the rule")
    node = next(node for node in miempresa.config()["nodes"] if node["name"] == "nodoa")
    empty = Trace(miempresa, f"{node['address']}:30899")
    why = {"step": "node", "where": "nodoa", "why": "Service default/empty has no endpoints"}
    assert (empty.code, empty.failed) == (1, why)
    miempresa.kubectl("delete", "service", "empty")


def test_a_pod_that_asks_for_the_page_by_name_goes_through_the_load_balancer(miempresa: Cluster) -> None:
    page_again(miempresa)
    ask = "import urllib.request as r; print(r.urlopen('http://web1.miempresa.com/', timeout=5).read().decode())"
    if miempresa.variant.network == "netns":  # where a pod has ports of its own
        answer = miempresa.kubectl("exec", "deploy/wp", "--", "python3", "-c", ask)
        assert "answers" in answer
        names = miempresa.exec_on("menchupc", "dig", "+short", "any.apps.miempresa.com")
        assert names.strip() == miempresa.config()["load_balancer"]["address"]


def test_a_trace_to_pods_that_refuse_says_so(miempresa: Cluster) -> None:
    page_again(miempresa)
    miempresa.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: deaf}\n"
        "spec: {selector: {app: wp}, ports: [{port: 8098, targetPort: 8997}]}\n"
    )
    until(lambda: ":8997" in miempresa.panal("rules", "nodob").stdout, what="the rule")
    address = miempresa.get("service", "deaf")["spec"]["clusterIP"]
    deaf = Trace(miempresa, "--from", "nodob", f"{address}:8098")
    assert deaf.code == 1, deaf.words
    if miempresa.variant.proxy_mode == "netfilter":
        assert (deaf.failed["step"], deaf.failed["why"]) == (
            "service",
            "the endpoint it chose: Connection refused",
        ), deaf.words
    else:
        assert (deaf.failed["step"], deaf.failed["why"]) == ("service", "none of them could be reached"), deaf.words
    miempresa.kubectl("delete", "service", "deaf")


def test_traces_are_right_while_many_others_connect(miempresa: Cluster) -> None:
    page_again(miempresa)
    ended = threading.Event()

    def others() -> int:
        number = 0
        while not ended.is_set():
            visit(fetch_here(miempresa))
            number += 1
        return number

    with ThreadPoolExecutor(8) as pool:
        load = [pool.submit(others) for _ in range(4)]
        try:
            traces = list(pool.map(lambda _: Trace(miempresa, f"http://{HOST}/"), range(8)))
        finally:
            ended.set()
    assert sum(one.result() for one in load) > 8
    for trace in traces:
        assert trace.code == 0, trace.words
        assert trace.hop("pod", 1)["name"] == trace.answered_by, trace.words
        assert trace.hop("pod", 0)["peer"] == trace.hop("node")["source"]
