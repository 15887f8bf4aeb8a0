"""The node's own object."""

from __future__ import annotations

from panal.agents.kubelet.nodestatus import Facts, differs, node_object, node_status
from panal.config import NodeConfig, NodeSpec

FACTS = Facts("m", "b", "6.1", "Debian", "amd64")


def config(**spec: object) -> NodeConfig:
    node = NodeSpec("nodo1", "192.168.0.100", "10.10.0.0/24", **spec)  # type: ignore[arg-type]
    return NodeConfig("c", node, "netns", "netfilter", "namespaces", "/h", "s", "d", "cluster.local", "s", "p")


def test_a_new_node_is_ready_in_its_first_words() -> None:
    node = node_object(config(labels={"disk": "ssd"}), FACTS, ready=True, now=0)
    assert {item["type"]: item["status"] for item in node["status"]["conditions"]} == {
        "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True",
    }  # fmt: skip
    assert node["status"]["capacity"] == {
        "cpu": "4", "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0", "memory": "10Gi",
        "pods": "110",
    }  # fmt: skip
    assert node["spec"] == {"podCIDR": "10.10.0.0/24", "podCIDRs": ["10.10.0.0/24"]}
    assert node["metadata"]["labels"]["disk"] == "ssd"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.2"


def test_the_control_planes_node_is_tainted_as_kubeadm_does() -> None:
    node = node_object(config(control_plane=True), FACTS, ready=True, now=0)
    assert node["spec"]["taints"] == [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    assert node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == ""


def test_a_heartbeat_changes_the_heartbeat_alone_and_others_conditions_stay() -> None:
    foreign = {"type": "NetworkUnavailable", "status": "False"}
    before = node_status(config(), FACTS, {"conditions": [foreign]}, ready=True, now=0)
    after = node_status(config(), FACTS, before, ready=True, now=100)
    assert after["conditions"][0] == foreign
    assert [item["lastTransitionTime"] for item in after["conditions"][1:]] == ["1970-01-01T00:00:00Z"] * 4
    assert after["conditions"][1]["lastHeartbeatTime"] == "1970-01-01T00:01:40Z"
    down = node_status(config(), FACTS, after, ready=False, now=200)["conditions"][-1]
    assert (down["reason"], down["lastTransitionTime"]) == ("KubeletNotReady", "1970-01-01T00:03:20Z")


def test_extended_resources_that_others_wrote_can_be_allocated() -> None:
    old = {"capacity": {"example.com/dongle": "4", "cpu": "99"}}
    status = node_status(config(), FACTS, old, ready=True, now=0)
    assert status["allocatable"]["example.com/dongle"] == "4"
    assert status["allocatable"]["cpu"] == "4"


def test_only_what_says_something_else_differs() -> None:
    foreign = {"type": "NetworkUnavailable", "status": "False"}
    old = node_status(config(), FACTS, {"conditions": [foreign]}, ready=True, now=0)
    assert not differs(old, node_status(config(), FACTS, old, ready=True, now=100))
    assert differs(old, node_status(config(), FACTS, old, ready=False, now=100))
    widened = {**old, "capacity": {**old["capacity"], "example.com/dongle": "4"}}
    assert differs(widened, node_status(config(), FACTS, widened, ready=True, now=100))
    assert differs({}, node_status(config(), FACTS, {}, ready=True, now=100))
