"""Tables: the recorded rows for objects made as recorded, and the stories that one word of STATUS tells."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import tables
from panal.resources import NODES, PODS, SERVICES, Resource, find

from .http.recorded import DATA, cases

MADE, NOW = "2026-01-31T12:00:00Z", "2026-01-31T12:00:03Z"
ROWS: dict[str, list[dict[str, Any]]] = orjson.loads((DATA / "table-rows.json").read_bytes())["tables"]

BY_CONTROLLERS: dict[str, dict[str, Any]] = {
    "a3": {"spec": {"clusterIP": "10.96.7.156"}},
    "a4": {"spec": {"clusterIP": "10.96.63.252", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30811}]}},
    "a5": {"spec": {"clusterIP": "10.96.116.252", "ports": [
        {"port": 80, "protocol": "TCP", "nodePort": 32422}, {"port": 443, "protocol": "TCP", "nodePort": 32647}]}},
    "a8": {"spec": {"clusterIP": "10.96.150.74", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30288}]}},
    "a14": {"spec": {"claimRef": {"namespace": "tabla", "name": "d-a25-0"}}, "status": {"phase": "Bound"}},
    "a18": {"status": {"hard": {"cpu": "2", "pods": "3"}, "used": {"cpu": "500m", "pods": "3"}}},
    "a24": {"status": {"desiredNumberScheduled": 1}},
    "a26": {"status": {"startTime": MADE}, "spec": {"selector": {"matchLabels": {
        "batch.kubernetes.io/controller-uid": "6a5bca88-557c-4731-b2f8-292bfd4c0b2f"}}}},
    "a27": {"status": {"startTime": MADE}, "spec": {"selector": {"matchLabels": {
        "batch.kubernetes.io/controller-uid": "a2348aa8-c9ea-4618-86c4-bf98517f3dd6"}}}},
}  # fmt: skip
"""What the controllers of the recorded cluster, and its allocators, had written into these objects by then."""


def _objects() -> list[tuple[Resource, str, dict[str, Any]]]:
    """The objects of defaults.json, as they were called when the rows were recorded."""
    found = []
    for index, case in enumerate(cases("defaults.json")):
        if case["code"] != 201:
            continue
        obj = orjson.loads(orjson.dumps(case["response"]).replace(b'"TIME"', f'"{MADE}"'.encode()))
        name = {"nodex": "nodex13", "zs.x.y": "zs.x.y"}.get(obj["metadata"]["name"], f"a{index}")
        obj["metadata"]["name"] = name
        for key, change in BY_CONTROLLERS.get(name, {}).items():
            obj[key] = {**(obj.get(key) or {}), **change}
        parts = case["request"]["path"].split("/")
        group, version = ("", parts[2]) if parts[1] == "api" else (parts[2], parts[3])
        resource = find(group, version, parts[-1])
        assert resource is not None
        found.append((resource, name, obj))
    return found


def _recorded(resource: Resource, name: str) -> list[Any] | None:
    for path, rows in ROWS.items():
        if path.startswith(resource.root) and path.rpartition("/")[2] == resource.plural:
            return next((row["cells"] for row in rows if row["object"] == name), None)
    return None


REBUILT = [(resource, name, obj) for resource, name, obj in _objects() if _recorded(resource, name) is not None]


def _without_seconds(cells: list[Any]) -> list[Any]:
    """Objects were two or three seconds old, and times stand as they were made."""
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    seconds = re.compile(r"[23]s")
    return [
        "TIME" if isinstance(cell, str) and stamp.fullmatch(cell)
        else "AGE" if isinstance(cell, str) and seconds.fullmatch(cell) else cell
        for cell in cells
    ]  # fmt: skip


@pytest.mark.parametrize(("resource", "name", "obj"), REBUILT, ids=[name for _, name, _ in REBUILT])
def test_an_object_has_the_recorded_row(resource: Resource, name: str, obj: dict[str, Any]) -> None:
    (row,) = tables.table(resource, [obj], now=NOW)["rows"]
    assert _without_seconds(row["cells"]) == _without_seconds(_recorded(resource, name) or [])


def test_most_recorded_rows_are_rebuilt() -> None:
    assert len(REBUILT) == 40


def cells(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """A row by column name."""
    table = tables.table(resource, [obj], now=NOW)
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def test_every_row_has_a_cell_for_every_column() -> None:
    for resource, _, obj in _objects():
        table = tables.table(resource, [obj], now=NOW)
        assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"]), resource


def pod(*statuses: dict[str, Any], phase: str = "Running", **fields: Any) -> dict[str, Any]:
    """A pod with one container for each status."""
    containers = [{"name": each["name"], "image": "i"} for each in statuses] or [{"name": "c", "image": "i"}]
    status = {"phase": phase, "containerStatuses": list(statuses), **fields.pop("status", {})}
    metadata = {"name": "web", "namespace": "shop", "creationTimestamp": MADE, **fields.pop("metadata", {})}
    return {"metadata": metadata, "spec": {"containers": containers, **fields}, "status": status}


def running(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "ready": True, "restartCount": 0, "state": {"running": {"startedAt": MADE}}, **fields}


def test_a_pod_that_runs() -> None:
    row = cells(PODS, pod(running("a"), running("b"), nodeName="nodoa", status={"podIP": "10.10.0.5"}))
    assert row == {
        "Name": "web", "Ready": "2/2", "Status": "Running", "Restarts": "0", "Age": "3s", "IP": "10.10.0.5",
        "Node": "nodoa", "Nominated Node": "<none>", "Readiness Gates": "<none>",
    }  # fmt: skip


def test_a_pod_that_crashes_again_and_again_says_when_it_last_did() -> None:
    last = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-31T11:58:00Z"}}
    crashed = {
        "name": "c", "ready": False, "restartCount": 4, "lastState": last,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    }  # fmt: skip
    row = cells(PODS, pod(crashed))
    assert (row["Ready"], row["Status"], row["Restarts"]) == ("0/1", "CrashLoopBackOff", "4 (2m3s ago)")


def initializing(*statuses: dict[str, Any], **restart: str) -> dict[str, Any]:
    inits = [{"name": each["name"], "image": "i", **({"restartPolicy": restart[each["name"]]} if each["name"] in restart
              else {})} for each in statuses]  # fmt: skip
    waiting = {"name": "c", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}
    return pod(waiting, phase="Pending", initContainers=inits, status={"initContainerStatuses": list(statuses)})


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"running": {}}, "Init:0/2"),
        ({"waiting": {"reason": "PodInitializing"}}, "Init:0/2"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, "Init:ImagePullBackOff"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "Init:CrashLoopBackOff"),
        ({"terminated": {"exitCode": 3}}, "Init:ExitCode:3"),
        ({"terminated": {"exitCode": 137, "signal": 9}}, "Init:Signal:9"),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error"),
        ({"terminated": {"exitCode": 0, "reason": "Completed"}}, "Init:1/2"),
    ],
)
def test_a_pod_that_initializes(state: dict[str, Any], shown: str) -> None:
    first = {"name": "one", "ready": False, "restartCount": 0, "state": state}
    second = {"name": "two", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}
    assert cells(PODS, initializing(first, second))["Status"] == shown


def test_a_sidecar_counts_as_a_container() -> None:
    obj = initializing(running("proxy", started=True), proxy="Always")
    obj["status"]["containerStatuses"] = [running()]
    obj["status"]["phase"] = "Running"
    row = cells(PODS, obj)
    assert (row["Ready"], row["Status"]) == ("2/2", "Running")


@pytest.mark.parametrize(
    ("terminated", "shown"),
    [
        ({"exitCode": 0, "reason": "Completed"}, "Completed"),
        ({"exitCode": 1, "reason": "Error"}, "Error"),
        ({"exitCode": 137, "reason": "OOMKilled"}, "OOMKilled"),
        ({"exitCode": 143, "signal": 15}, "Signal:15"),
        ({"exitCode": 2}, "ExitCode:2"),
    ],
)
def test_a_pod_that_ended(terminated: dict[str, Any], shown: str) -> None:
    ended = {"name": "c", "ready": False, "restartCount": 0, "state": {"terminated": terminated}}
    row = cells(PODS, pod(ended, phase="Succeeded"))
    assert (row["Ready"], row["Status"]) == ("0/1", shown)


def test_a_pod_whose_other_container_still_runs_is_not_completed() -> None:
    done = {
        "name": "a",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
    }
    conditions = [{"type": "Ready", "status": "False"}]
    assert cells(PODS, pod(done, running("b"), status={"conditions": conditions}))["Status"] == "NotReady"
    conditions = [{"type": "Ready", "status": "True"}]
    assert cells(PODS, pod(done, running("b"), status={"conditions": conditions}))["Status"] == "Running"


def test_a_pod_that_goes_is_terminating_unless_it_has_ended_or_its_node_is_lost() -> None:
    going = {"deletionTimestamp": MADE}
    assert cells(PODS, pod(running(), metadata=going))["Status"] == "Terminating"
    assert cells(PODS, pod(running(), metadata=going, status={"reason": "NodeLost"}))["Status"] == "Unknown"
    assert cells(PODS, pod(phase="Failed", metadata=going, status={"reason": "Evicted"}))["Status"] == "Evicted"


def test_a_pod_with_gates() -> None:
    gated = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
    row = cells(PODS, pod(phase="Pending", status={"conditions": gated}, readinessGates=[{"conditionType": "lb"}]))
    assert (row["Status"], row["Readiness Gates"]) == ("SchedulingGated", "0/1")


def node(ready: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "nodoa", "creationTimestamp": MADE, "labels": {
            "node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "web"}},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}],
                   "addresses": [{"type": "InternalIP", "address": "192.168.0.101"}]},
    }  # fmt: skip


def test_a_node_says_its_state_its_roles_and_its_address() -> None:
    row = cells(NODES, node("True"))
    assert (row["Status"], row["Roles"], row["Internal-IP"]) == ("Ready", "control-plane,web", "192.168.0.101")
    assert cells(NODES, node("Unknown"))["Status"] == "NotReady"
    assert cells(NODES, node("True", unschedulable=True))["Status"] == "Ready,SchedulingDisabled"


def service(**spec: Any) -> dict[str, Any]:
    status = spec.pop("status", {"loadBalancer": {}})
    return {"metadata": {"name": "web", "creationTimestamp": MADE}, "spec": spec, "status": status}


def test_a_service_shows_how_it_is_reached_from_outside() -> None:
    ports = [{"port": 8080, "nodePort": 30880, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    waiting = service(type="LoadBalancer", clusterIP="10.10.1.105", ports=ports)
    assert cells(SERVICES, waiting)["External-IP"] == "<pending>"
    assert cells(SERVICES, waiting)["Port(s)"] == "8080:30880/TCP,53/UDP"
    given = service(type="LoadBalancer", status={"loadBalancer": {"ingress": [{"ip": "192.168.0.10"}]}})
    assert cells(SERVICES, given)["External-IP"] == "192.168.0.10"
    assert cells(SERVICES, service(type="ClusterIP", externalIPs=["192.168.0.9"]))["External-IP"] == "192.168.0.9"


def test_an_ingress_shows_its_hosts_and_ports() -> None:
    ingresses = find("networking.k8s.io", "v1", "ingresses")
    assert ingresses is not None
    rules = [{"host": f"{name}.miempresa.com"} for name in ("web1", "web2", "web3", "web4")]
    obj = service(ingressClassName="nginx", rules=rules, tls=[{}])
    row = cells(ingresses, obj)
    assert row["Hosts"] == "web1.miempresa.com,web2.miempresa.com,web3.miempresa.com + 1 more..."
    assert (row["Class"], row["Ports"]) == ("nginx", "80, 443")
    assert cells(ingresses, service(rules=[]))["Hosts"] == "*"


@pytest.mark.parametrize(
    ("include", "kind"), [("Metadata", "PartialObjectMetadata"), ("None", None), ("Object", "Pod")]
)
def test_a_row_carries_as_much_of_its_object_as_is_asked_for(include: str, kind: str | None) -> None:
    (row,) = tables.table(PODS, [{"kind": "Pod", **pod(running())}], now=NOW, include=include)["rows"]
    assert row.get("object", {}).get("kind") == kind
