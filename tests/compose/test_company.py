"""`docker compose up`, on a real Docker engine: the company works, and goes on when its containers are killed."""

from __future__ import annotations

import json
from typing import Any

from company import Company, until

NODES = {"nodo1", "nodoa", "nodob", "nodoc"}
ADDRESSES = {
    "nodo1": "192.168.0.100", "nodoa": "192.168.0.101", "nodob": "192.168.0.102", "nodoc": "192.168.0.103",
    "lb": "192.168.0.10", "dns": "192.168.0.2", "menchupc": "192.168.0.200",
}  # fmt: skip


def test_every_container_is_healthy_and_every_node_ready(running: Company) -> None:
    assert set(running.health()) == set(ADDRESSES)
    assert running.ready_nodes() == NODES
    told = {
        node["metadata"]["name"]: node["status"]["addresses"][0]["address"] for node in running.get("nodes")["items"]
    }
    assert told == {name: ADDRESSES[name] for name in NODES}


def test_the_browser_is_answered_by_different_replicas_and_its_visits_are_counted(running: Company) -> None:
    visits = [running.browse() for _ in range(6)]
    assert [visit.number - visits[0].number for visit in visits] == list(range(6))
    assert len({visit.replica for visit in visits}) == 3
    assert running.browse("web1.localhost").number == visits[-1].number + 1


def test_menchu_types_the_name_into_her_pc(running: Company) -> None:
    code = (
        "import urllib.request; print(urllib.request.urlopen('http://web1.miempresa.com/', timeout=5).read().decode())"
    )
    assert "answers." in running.exec("menchupc", "python3", "-c", code)


def test_every_node_forwards_to_pods_of_all_the_others(running: Company) -> None:
    for node in sorted(NODES):
        code = (
            "import urllib.request as u; "
            f"r = u.Request('http://{ADDRESSES[node]}:30880/', headers={{'Host': 'web1.miempresa.com'}}); "
            "print(u.urlopen(r, timeout=5).read().decode())"
        )
        assert "answers." in running.exec("lb", "python3", "-c", code), node
        assert "10.10.1.102:8080" in running.exec(node, "panal", "rules", node), node


def test_kubectl_reads_logs_and_runs_commands_on_every_node(running: Company) -> None:
    for pod in running.get("pods", "-l", "app=wp")["items"]:
        name = pod["metadata"]["name"]
        assert "GET" in running.kubectl("logs", name)
        assert running.kubectl("exec", name, "--", "cat", "/etc/hostname").strip() == name


def test_a_pod_asks_the_company_and_the_cluster_for_names(running: Company) -> None:
    code = "import socket; print(*[socket.gethostbyname(n) for n in ('mariadb-service', 'lb.miempresa.com')])"
    found = running.kubectl("exec", "deploy/wp", "--", "python3", "-c", code)
    assert found.split() == ["10.10.1.101", "192.168.0.10"]


def test_containers_have_the_documents_capabilities_and_no_more(running: Company) -> None:
    for name, found in running.engine.containers().items():
        host: Any = found["HostConfig"]
        assert (host["Privileged"], host["CapDrop"], host["PidMode"], host["NetworkMode"]) == (
            False, ["ALL"], "", "miempresa_lan",
        )  # fmt: skip
        assert "SYS_ADMIN" not in (host["CapAdd"] or []) or name in NODES


def test_the_shared_folder_holds_tokens_and_no_keys(running: Company) -> None:
    assert running.exec("lb", "ls", "/run/panal/join").split() == ["join.json"]
    told = json.loads(running.exec("lb", "cat", "/run/panal/join/join.json"))
    assert set(told) == {"endpoint", "node_token", "lan_token", "pin"}
    own = running.exec("nodoa", "sh", "-c", "find /var/lib/panal -name '*.key' -o -name '*.conf'").split()
    assert [path.rpartition("/")[2] for path in own] == ["kubelet.key"]


def test_the_load_balancers_token_makes_nobody_a_node(running: Company) -> None:
    code = (
        "import asyncio, json; from panal.agents.join import handshake; from panal.agents.join.refused import Refused\n"
        "told = json.load(open('/run/panal/join/join.json'))\n"
        "async def work(token):\n"
        "    try: await handshake.join(handshake.Wish(told['endpoint'], told[token], told['pin'], 'zeus'))\n"
        "    except Refused as error: print('refused:', error)\n"
        "asyncio.run(work('lan_token'))\n"
    )
    assert "refused:" in running.exec("lb", "/opt/panal/bin/python", "-c", code)
    assert "zeus" not in running.kubectl("get", "nodes")


def test_process_1_takes_over_orphans_and_leaves_no_zombies(running: Company) -> None:
    states = "for s in /proc/[0-9]*/stat; do cut -d' ' -f3 $s; done 2>/dev/null"
    for host in ADDRESSES:
        running.exec(host, "sh", "-c", "(sleep 0.2 &) ; (true &)")
    until(
        lambda: not any("Z" in running.exec(host, "sh", "-c", states) for host in ADDRESSES),
        seconds=20, what="no zombie in any container",
    )  # fmt: skip


def test_a_container_that_cannot_be_its_host_says_why_and_ends_with_1(running: Company) -> None:
    for options, words in (
        (["--hostname=nodoa"], "refuses mounts of the node's own"),
        (["--hostname=nodoa", "--cap-add=SYS_ADMIN"], "this machine is not nodoa: it has no address 192.168.0.101"),
        (["--hostname=zeus"], "has no host called 'zeus'; name one of nodo1, nodoa"),
    ):
        code = running.engine.docker("create", "--network=none", "--cap-drop=ALL", *options, "panal").strip()
        try:
            running.engine.docker("start", code)
            assert running.engine.docker("wait", code).strip() == "1", options
            assert words in running.engine.docker_said(code)
        finally:
            running.engine.docker("rm", "--volumes", code)


def test_a_killed_nodes_container_comes_back_and_the_cluster_heals(running: Company) -> None:
    before = running.page_answers()
    victim = running.get("pods", "-l", "app=mariadb")["items"][0]["spec"]["nodeName"]
    running.engine.docker("kill", str(running.engine.containers()[victim]["Id"]))
    running.engine.compose("up", "-d", victim)
    after = running.page_answers()
    assert after.number > before.number  # the database's folder is the node's, and outlived it
    running.wait_until_well()
    assert running.ready_nodes() == NODES


def test_a_host_whose_process_1_ends_is_started_again(running: Company) -> None:
    pods = {pod["metadata"]["uid"] for pod in running.get("pods", "-l", "app=wp")["items"]}
    running.exec("nodob", "sh", "-c", "kill -TERM 1", check=False)
    until(lambda: running.engine.containers()["nodob"]["RestartCount"] == 1, seconds=20, what="Docker starts it again")
    until(lambda: running.ready_nodes() == NODES, seconds=60, what="nodob is Ready again")
    running.wait_until_well()
    assert {pod["metadata"]["uid"] for pod in running.get("pods", "-l", "app=wp")["items"]} == pods


def test_a_node_replaced_by_a_new_container_without_its_disk_joins_again(running: Company) -> None:
    gone = running.engine.containers()["nodoa"]["Id"]
    running.engine.compose("rm", "--stop", "--force", "nodoa")
    running.engine.docker("volume", "rm", "miempresa_nodoa")
    until(lambda: "nodoa" not in running.ready_nodes(), seconds=90, what="the cluster misses nodoa")
    running.engine.compose("up", "-d", "nodoa")
    until(lambda: running.ready_nodes() == NODES, seconds=60, what="nodoa is Ready again")
    assert running.engine.containers()["nodoa"]["Id"] != gone
    running.wait_until_well()


def test_the_control_planes_container_is_replaced_and_knows_everything(running: Company) -> None:
    before = running.page_answers()
    pods = {pod["metadata"]["uid"] for pod in running.get("pods", "-l", "app=wp")["items"]}
    running.engine.compose("up", "-d", "--force-recreate", "nodo1")
    until(lambda: running.ready_nodes() == NODES, seconds=60, what="the API server answers again")
    assert {pod["metadata"]["uid"] for pod in running.get("pods", "-l", "app=wp")["items"]} == pods
    running.wait_until_well()
    assert running.browse().number > before.number


def test_every_container_ends_at_once_when_it_is_told_to(running: Company) -> None:
    running.engine.compose("stop", "--timeout=10")
    codes = {name: found["State"]["ExitCode"] for name, found in running.engine.containers().items()}  # type: ignore[index]
    assert codes == dict.fromkeys(ADDRESSES, 0)
    running.engine.compose("start")
    running.wait_until_well()
