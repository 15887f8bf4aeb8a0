"""Who may give which rights away."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from panal.controlplane.apiserver.admission import Attributes, escalation
from panal.controlplane.apiserver.admission.stored import StoredObjects
from panal.controlplane.apiserver.authz import Authorizer
from panal.errors import Forbidden, NotFound
from panal.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES

from ..conftest import World
from .conftest import Object, asking

READ = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"]}


def role(*rules: Object, **fields: Any) -> Object:
    return {"metadata": {"name": "r", "namespace": "shop"}, "rules": list(rules), **fields}


async def given(world: World, *rules: Object) -> None:
    """alice holds these rules."""
    await world.put(CLUSTERROLES, "hers", rules=list(rules))
    subjects = [{"kind": "User", "name": "alice"}]
    await world.put(CLUSTERROLEBINDINGS, "hers", roleRef={"kind": "ClusterRole", "name": "hers"}, subjects=subjects)


def judge(world: World, attributes: Attributes, *groups: str) -> None:
    attributes = dataclasses.replace(attributes, groups=groups or ("devs",))
    escalation.guard(Authorizer(world.cache))(attributes, StoredObjects(world.cache))


async def test_rights_that_one_has_may_be_given(world: World) -> None:
    await given(world, {**READ, "verbs": ["*"]})
    judge(world, asking(ROLES, role(READ)))


async def test_rights_that_one_has_not_may_not_and_the_missing_ones_are_named(world: World) -> None:
    await given(world, READ)
    wider = {**READ, "verbs": ["get", "delete", "list"], "resources": ["pods"]}
    with pytest.raises(Forbidden) as caught:
        judge(world, asking(ROLES, role(wider, {"verbs": ["get"], "nonResourceURLs": ["/metrics"]})))
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["devs"]) is attempting to grant RBAC '
        "permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete" "list"]}\n'
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}'
    )


@pytest.mark.parametrize(
    "wanted",
    [
        {**READ, "verbs": ["*"]},
        {**READ, "apiGroups": ["*"]},
        {**READ, "resources": ["*"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]},
    ],
)
async def test_everything_is_more_than_something(world: World, wanted: Object) -> None:
    await given(world, READ)
    with pytest.raises(Forbidden):
        judge(world, asking(ROLES, role(wanted)))


async def test_a_right_to_some_names_is_no_right_to_all(world: World) -> None:
    await given(world, {**READ, "resourceNames": ["web"]})
    judge(world, asking(ROLES, role({**READ, "resourceNames": ["web"]})))
    with pytest.raises(Forbidden):
        judge(world, asking(ROLES, role(READ)))


async def test_masters_and_who_may_escalate_give_what_they_like(world: World) -> None:
    judge(world, asking(ROLES, role(READ)), "system:masters")
    rbac = "rbac.authorization.k8s.io"
    await given(world, {"verbs": ["escalate"], "apiGroups": [rbac], "resources": ["roles"]})
    judge(world, asking(ROLES, role(READ)))


async def test_what_does_not_change_is_given_by_nobody(world: World) -> None:
    judge(world, asking(ROLES, role(READ), operation="UPDATE", old=role(READ)))
    with pytest.raises(Forbidden):
        judge(world, asking(ROLES, role(READ), operation="UPDATE", old=role()))


async def test_a_role_that_gathers_others_may_come_to_hold_everything(world: World) -> None:
    await given(world, READ)
    gathering = {"metadata": {"name": "r"}, "aggregationRule": {"clusterRoleSelectors": [{}]}}
    with pytest.raises(Forbidden):
        judge(world, asking(CLUSTERROLES, gathering))


async def test_a_binding_gives_what_its_role_holds(world: World) -> None:
    await given(world, READ)
    await world.put(CLUSTERROLES, "small", rules=[READ])
    await world.put(CLUSTERROLES, "large", rules=[{**READ, "verbs": ["*"]}])

    def binding(name: str) -> Attributes:
        reference = {"kind": "ClusterRole", "name": name}
        return asking(ROLEBINDINGS, {"metadata": {"name": "b", "namespace": "shop"}, "roleRef": reference})

    judge(world, binding("small"))
    with pytest.raises(Forbidden, match="is attempting to grant RBAC permissions not currently held"):
        judge(world, binding("large"))
    with pytest.raises(NotFound, match=r'clusterroles\.rbac\.authorization\.k8s\.io "nada" not found'):
        judge(world, binding("nada"))
    await given(world, READ, {"verbs": ["bind"], "apiGroups": ["*"], "resources": ["clusterroles"]})
    judge(world, binding("large"))
