"""Stories of claims that stay, go with their set, or go with the pod that is scaled away."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.controllers.statefulset import retention

Object = dict[str, Any]


def owner(deleted: str = "Retain", scaled: str = "Retain", replicas: int = 2) -> Object:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    spec = {"replicas": replicas, "persistentVolumeClaimRetentionPolicy": policy}
    return {"metadata": {"name": "db", "namespace": "default", "uid": "set"}, "spec": spec}


def pod(number: int) -> Object:
    return {"metadata": {"name": f"db-{number}", "uid": f"pod{number}"}}


@pytest.mark.parametrize(
    ("deleted", "scaled", "number", "wanted"),
    [
        ("Retain", "Retain", 0, []),
        ("Delete", "Retain", 0, ["set"]),
        ("Delete", "Retain", 2, ["set"]),
        ("Retain", "Delete", 0, []),
        ("Retain", "Delete", 2, ["pod2"]),
        ("Delete", "Delete", 0, ["set"]),
        ("Delete", "Delete", 2, ["pod2"]),
    ],
)
def test_the_policy_says_whose_a_claim_is(deleted: str, scaled: str, number: int, wanted: list[str]) -> None:
    found = retention.owners(owner(deleted, scaled), number, pod(number))
    assert [item["uid"] for item in found] == wanted


def test_a_changed_policy_changes_our_reference_and_nobody_else_s() -> None:
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other"}
    claim = {"metadata": {"name": "data-db-0", "ownerReferences": [stranger]}}
    with_set = retention.renewed(owner("Delete"), claim, 0, pod(0))
    assert with_set is not None
    assert [item["uid"] for item in with_set["metadata"]["ownerReferences"]] == ["other", "set"]
    assert retention.renewed(owner("Delete"), with_set, 0, pod(0)) is None
    back = retention.renewed(owner(), with_set, 0, pod(0))
    assert back is not None
    assert back["metadata"]["ownerReferences"] == [stranger]


def test_a_pod_that_is_wanted_again_keeps_its_claim() -> None:
    claim = {"metadata": {"name": "data-db-2"}}
    leaving = retention.renewed(owner("Delete", "Delete"), claim, 2, pod(2))
    assert leaving is not None
    back = retention.renewed(owner("Delete", "Delete", replicas=3), leaving, 2, pod(2))
    assert back is not None
    assert [item["uid"] for item in back["metadata"]["ownerReferences"]] == ["set"]
