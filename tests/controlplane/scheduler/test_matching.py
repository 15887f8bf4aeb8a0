from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.scheduler import matching

TAINT = {"key": "a", "value": "1", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "a", "operator": "Equal", "value": "1", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "1"}, True),
        ({"key": "a", "value": "2"}, False),
        ({"key": "a", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "b", "operator": "Exists"}, False),
        ({}, False),
    ],
)
def test_tolerations(toleration: dict[str, Any], tolerated: bool) -> None:
    assert matching.tolerates(toleration, TAINT) is tolerated


@pytest.mark.parametrize(
    ("operator", "values", "matches"),
    [
        ("In", ["ssd", "nvme"], True),
        ("In", ["hdd"], False),
        ("NotIn", ["hdd"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["1"], False),
        ("Sideways", [], False),
    ],
)
def test_node_selector_operators(operator: str, values: list[str], matches: bool) -> None:
    requirement = {"key": "disk", "operator": operator, "values": values}
    assert matching.requirement_matches(requirement, {"disk": "ssd"}) is matches


def test_numbers_compare_as_numbers_and_absence_matches_not_in() -> None:
    assert matching.requirement_matches({"key": "n", "operator": "Gt", "values": ["9"]}, {"n": "10"})
    assert matching.requirement_matches({"key": "n", "operator": "NotIn", "values": ["9"]}, {})


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def pod(*terms: Any, **selector: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"nodeSelector": selector}
    if terms:
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
        spec["affinity"] = {"nodeAffinity": required}
    return {"spec": spec}


SSD = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
NAMED = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}


def test_one_of_the_terms_must_match_and_the_selector_wholly() -> None:
    assert matching.affinity_matches(pod(SSD, NAMED), node("a"))
    assert matching.affinity_matches(pod(SSD), node("b", disk="ssd"))
    assert not matching.affinity_matches(pod(SSD), node("b"))
    assert not matching.affinity_matches(pod(SSD, zone="west"), node("b", disk="ssd"))
    assert not matching.affinity_matches(pod({}), node("b"))


def test_a_pod_is_pinned_only_if_every_term_names_the_same_node() -> None:
    assert matching.pinned_node(pod(NAMED)) == "a"
    assert matching.pinned_node(pod({**SSD, **NAMED})) == "a"
    assert matching.pinned_node(pod(NAMED, SSD)) is None
    assert matching.pinned_node(pod()) is None
