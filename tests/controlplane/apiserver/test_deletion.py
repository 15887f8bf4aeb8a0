"""Deletion: preconditions, finalizers by policy, and grace."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.deletion import DeleteOptions, mark
from panal.controlplane.apiserver.request import Query
from panal.controlplane.apiserver.strategy import RequestContext, strategy_for
from panal.errors import BadRequest, Conflict, Invalid
from panal.resources import CONFIGMAPS, JOBS, NAMESPACES, PODS, Resource

NOW = "2026-01-31T12:00:00Z"


def options(query: str = "", **body: Any) -> DeleteOptions:
    return DeleteOptions.read(body or None, Query(query))


def deleted(
    resource: Resource, obj: dict[str, Any], chosen: DeleteOptions | None = None, now: str = NOW
) -> dict[str, Any]:
    return mark(strategy_for(resource), RequestContext(user="alice", now=now), obj, chosen or options())


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "generation": 1}, "spec": {"terminationGracePeriodSeconds": 30, **spec},
            "status": {"phase": "Running"}}  # fmt: skip


def test_a_pod_on_a_node_has_its_grace_and_the_rest_has_none() -> None:
    running = deleted(PODS, pod(nodeName="n"))["metadata"]
    assert (running["deletionTimestamp"], running["deletionGracePeriodSeconds"]) == ("2026-01-31T12:00:30Z", 30)
    assert running["generation"] == 2
    assert deleted(PODS, pod())["metadata"]["deletionGracePeriodSeconds"] == 0
    assert deleted(CONFIGMAPS, {"metadata": {}})["metadata"]["deletionTimestamp"] == NOW


def test_a_second_deletion_may_shorten_the_grace_but_not_lengthen_it() -> None:
    going = deleted(PODS, pod(nodeName="n"))
    again = deleted(PODS, going, options(gracePeriodSeconds=60), "2026-01-31T12:00:10Z")
    assert again["metadata"]["deletionGracePeriodSeconds"] == 30
    sooner = deleted(PODS, again, options("gracePeriodSeconds=5"), "2026-01-31T12:00:10Z")["metadata"]
    assert (sooner["deletionTimestamp"], sooner["deletionGracePeriodSeconds"]) == ("2026-01-31T12:00:05Z", 5)
    assert (
        deleted(PODS, pod(nodeName="n"), options(gracePeriodSeconds=0))["metadata"]["deletionGracePeriodSeconds"] == 0
    )


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ["mine", "foregroundDeletion"]), ("Orphan", ["mine", "orphan"]), ("Background", ["mine"])],
)
def test_the_policy_becomes_a_finalizer(policy: str, finalizers: list[str]) -> None:
    obj = {"metadata": {"finalizers": ["mine", "orphan"]}}
    assert deleted(CONFIGMAPS, obj, options(propagationPolicy=policy))["metadata"]["finalizers"] == finalizers


def test_without_a_policy_a_job_leaves_its_pods_and_others_do_not() -> None:
    assert deleted(JOBS, {"metadata": {}})["metadata"]["finalizers"] == ["orphan"]
    assert "finalizers" not in deleted(CONFIGMAPS, {"metadata": {}})["metadata"]
    assert options(orphanDependents=True).propagation == "Orphan"


def test_a_deleted_namespace_is_terminating() -> None:
    obj: dict[str, Any] = {"metadata": {"name": "shop"}, "spec": {"finalizers": ["kubernetes"]}}
    assert deleted(NAMESPACES, obj)["status"] == {"phase": "Terminating"}


def test_preconditions_hold_or_refuse() -> None:
    obj = {"metadata": {"uid": "u", "resourceVersion": "7"}}
    options(preconditions={"uid": "u", "resourceVersion": "7"}).check(PODS, "web", obj)
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: x, UID in object meta: u"):
        options(preconditions={"uid": "x"}).check(PODS, "web", obj)
    with pytest.raises(Conflict, match=r"the ResourceVersion in the precondition \(1\) does not match"):
        options(preconditions={"resourceVersion": "1"}).check(PODS, "web", obj)


def test_options_come_from_the_body_before_the_query() -> None:
    assert options("gracePeriodSeconds=5&propagationPolicy=Orphan").grace_seconds == 5
    assert options("gracePeriodSeconds=5", gracePeriodSeconds=9).grace_seconds == 9
    assert options(dryRun=["All"]).dry_run
    assert options(gracePeriodSeconds=-1).grace_seconds == 0


@pytest.mark.parametrize("body", [{"gracePeriodSeconds": "x"}, {"gracePeriodSeconds": True}, {"preconditions": "x"}])
def test_options_that_make_no_sense_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        options(**body)
    with pytest.raises(Invalid, match='Unsupported value: "Never"'):
        options(propagationPolicy="Never")
