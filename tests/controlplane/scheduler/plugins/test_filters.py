"""Each filter, on the nodes it lets through and the words for those it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from panal.controlplane.scheduler.decide import feasible_nodes


def through(pod: Any, snapshot: Any) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """(nodes that pass, reasons of the others)."""
    feasible, _ = feasible_nodes(pod, snapshot)
    refused = {}
    for name, info in snapshot.nodes.items():
        if info not in feasible:
            _, why = feasible_nodes(pod, type(snapshot)({**{name: info}}))
            refused[name] = why.refusals[name].reasons if why else ()
    return [info.name for info in feasible], refused


def test_a_cordoned_node_takes_only_those_who_tolerate_it(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", spec={"unschedulable": True}), node("b"))
    assert through(pod(), cluster) == (["b"], {"a": ("node(s) were unschedulable",)})
    toleration = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
    assert through(pod(tolerations=[toleration]), cluster)[0] == ["a", "b"]


def test_node_selector(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", labels={"disk": "ssd"}), node("b"))
    expected = (["a"], {"b": ("node(s) didn't match Pod's node affinity/selector",)})
    assert through(pod(nodeSelector={"disk": "ssd"}), cluster) == expected


def test_a_host_port_is_taken_once_a_node(node: Any, pod: Any, snapshot: Any) -> None:
    web = pod("web", ports=[{"containerPort": 80, "hostPort": 80}])
    other = pod("other", ports=[{"containerPort": 81, "hostPort": 80}])
    expected = (["b"], {"a": ("node(s) didn't have free ports for the requested pod ports",)})
    assert through(other, snapshot(node("a", web), node("b"))) == expected


def test_resources_and_the_number_of_pods(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", pod("x", cpu="3"), pods="1"), node("b", memory="1Gi"), node("c"))
    big = pod("big", cpu="2", memory="2Gi")
    assert through(big, cluster) == (
        ["c"],
        {"a": ("Too many pods", "Insufficient cpu"), "b": ("Insufficient memory",)},
    )


def test_an_extended_resource(node: Any, pod: Any, snapshot: Any) -> None:
    from panal.controlplane.scheduler.snapshot import pod_info

    requests = {"example.com/gpu": "1"}
    wants = pod_info({"metadata": {"name": "g"}, "spec": {"containers": [{"resources": {"requests": requests}}]}})
    cluster = snapshot(node("a", more={"example.com/gpu": "1"}), node("b"))
    assert through(wants, cluster) == (["a"], {"b": ("Insufficient example.com/gpu",)})


def near(selector: dict[str, str], kind: str, key: str = "kubernetes.io/hostname") -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": selector}, "topologyKey": key}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_together_and_apart(node: Any, pod: Any, snapshot: Any) -> None:
    cluster = snapshot(node("a", pod("db", labels={"app": "db"})), node("b"))
    together = pod("web", affinity=near({"app": "db"}, "podAffinity"))
    assert through(together, cluster) == (["a"], {"b": ("node(s) didn't match pod affinity rules",)})
    apart = pod("web", affinity=near({"app": "db"}, "podAntiAffinity"))
    assert through(apart, cluster) == (["b"], {"a": ("node(s) didn't match pod anti-affinity rules",)})


def test_those_who_were_first_may_refuse_a_newcomer(node: Any, pod: Any, snapshot: Any) -> None:
    shy = pod("shy", labels={"app": "shy"}, affinity=near({"app": "web"}, "podAntiAffinity"))
    newcomer = pod("web", labels={"app": "web"})
    expected = (["b"], {"a": ("node(s) didn't satisfy existing pods anti-affinity rules",)})
    assert through(newcomer, snapshot(node("a", shy), node("b"))) == expected


def test_the_first_of_a_group_that_wants_company_starts_somewhere(node: Any, pod: Any, snapshot: Any) -> None:
    social = pod("one", labels={"app": "x"}, affinity=near({"app": "x"}, "podAffinity"))
    assert through(social, snapshot(node("a"), node("b")))[0] == ["a", "b"]
    lonely = pod("two", labels={"app": "y"}, affinity=near({"app": "x"}, "podAffinity"))
    assert through(lonely, snapshot(node("a"), node("b")))[0] == []


def test_a_hard_spread_constraint(node: Any, pod: Any, snapshot: Any) -> None:
    constraint = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    web = pod("web", labels={"app": "web"}, topologySpreadConstraints=[constraint])
    cluster = snapshot(
        node("a", pod("x", labels={"app": "web"}), labels={"zone": "west"}),
        node("b", labels={"zone": "east"}),
        node("c"),
    )
    feasible, _ = feasible_nodes(web, cluster)
    assert [info.name for info in feasible] == ["b"]
    crowded = snapshot(
        node("a", pod("x", labels={"app": "web"}), labels={"zone": "west"}),
        node("b", labels={"zone": "east"}, spec={"unschedulable": True}),
        node("c"),
    )
    _, why = feasible_nodes(web, crowded)
    assert why is not None
    assert why.refusals["a"].reasons == ("node(s) didn't match pod topology spread constraints",)
    assert why.refusals["c"].reasons == (
        "node(s) didn't match pod topology spread constraints (missing required label)",
    )


def test_neighbours_are_meant_by_the_labels_of_their_namespace(node: Any, pod: Any, snapshot: Any) -> None:
    stranger = replace(pod("db", labels={"app": "db"}), namespace="shop")

    def lands(**where: Any) -> bool:
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}, **where}
        wish = pod("web", affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
        cluster = replace(snapshot(node("a", stranger)), namespaces={"shop": {"team": "blue"}, "default": {}})
        return feasible_nodes(wish, cluster)[1] is None

    assert lands()
    assert not lands(namespaceSelector={})
    assert not lands(namespaceSelector={"matchLabels": {"team": "blue"}})
    assert lands(namespaceSelector={"matchLabels": {"team": "red"}})
    assert not lands(namespaceSelector={"matchLabels": {"team": "red"}}, namespaces=["shop"])
