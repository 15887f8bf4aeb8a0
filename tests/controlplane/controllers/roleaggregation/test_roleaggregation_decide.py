"""Stories of ClusterRoles that are the sum of others."""

from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.roleaggregation import decide

GET = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
LIST = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
EAT = {"apiGroups": ["shop.example"], "resources": ["cakes"], "verbs": ["eat"]}


def role(name: str, *rules: Any, label: str = "", **fields: Any) -> dict[str, Any]:
    labels = {f"aggregate-to-{label}": "true"} if label else {}
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules), **fields}


def aggregated(*labels: str) -> dict[str, Any]:
    selectors = [{"matchLabels": {f"aggregate-to-{label}": "true"}} for label in labels]
    return role("sum", aggregationRule={"clusterRoleSelectors": selectors})


def test_the_sum_has_each_rule_once_by_name_of_role() -> None:
    everything = [role("b", LIST, GET, label="view"), role("a", GET, label="view"), role("c", EAT), aggregated("view")]
    assert decide.wanted(everything[-1], everything) == [GET, LIST]


def test_selectors_are_taken_in_their_order_and_the_role_itself_is_left_out() -> None:
    own = aggregated("edit", "view")
    own["metadata"]["labels"] = {"aggregate-to-view": "true"}
    own["rules"] = [EAT]
    everything = [role("a", GET, label="view"), role("z", LIST, label="edit"), own]
    assert decide.wanted(own, everything) == [LIST, GET]
    assert decide.is_aggregated(own)
    assert not decide.is_aggregated(everything[0])
