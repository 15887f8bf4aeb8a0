"""Role-based access control: what rules cover, who has them, and the words of a refusal."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.authn import User
from panal.controlplane.apiserver.authz import Attributes, Authorizer, covers
from panal.errors import Forbidden
from panal.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES

from .conftest import World

ALICE = User("alice", ("devs", "system:authenticated"))
PODS = Attributes("get", resource="pods", namespace="shop", name="web")


def rule(verbs: str, resources: str = "", groups: str = "", **more: Any) -> dict[str, Any]:
    return {
        "verbs": verbs.split(),
        "resources": resources.split(),
        "apiGroups": groups.split(",") if resources else [],
        **more,
    }


@pytest.mark.parametrize(
    ("given", "asked", "allowed"),
    [
        (rule("get list", "pods"), PODS, True),
        (rule("list", "pods"), PODS, False),
        (rule("*", "*", "*"), PODS, True),
        (rule("get", "pods", "apps"), PODS, False),
        (rule("get", "pods", resourceNames=["web"]), PODS, True),
        (rule("get", "pods", resourceNames=["db"]), PODS, False),
        (rule("list", "pods", resourceNames=["web"]), Attributes("list", resource="pods", namespace="shop"), False),
        (rule("get", "pods"), Attributes("get", resource="pods", subresource="log"), False),
        (rule("get", "pods/log"), Attributes("get", resource="pods", subresource="log"), True),
        (rule("get", "*/log"), Attributes("get", resource="pods", subresource="log"), True),
        (rule("get", "*/log"), PODS, False),
        (rule("get", nonResourceURLs=["/healthz"]), Attributes("get", path="/healthz"), True),
        (rule("get", nonResourceURLs=["/healthz/*"]), Attributes("get", path="/healthz/etcd"), True),
        (rule("get", nonResourceURLs=["/healthz"]), Attributes("get", path="/metrics"), False),
        (rule("get", "*", "*"), Attributes("get", path="/healthz"), False),
    ],
)
def test_a_rule_covers_what_it_says_and_no_more(given: dict[str, Any], asked: Attributes, allowed: bool) -> None:
    assert covers(given, asked) is allowed


def subject(kind: str, name: str, **more: str) -> dict[str, str]:
    return {"kind": kind, "name": name, **more}


async def bind(
    world: World, role: str, *subjects: dict[str, str], namespace: str = "", kind: str = "ClusterRole"
) -> None:
    resource = ROLEBINDINGS if namespace else CLUSTERROLEBINDINGS
    await world.put(resource, role, namespace, roleRef={"kind": kind, "name": role}, subjects=list(subjects))


async def test_a_binding_gives_its_role_everywhere_or_in_its_namespace(world: World) -> None:
    authorizer = Authorizer(world.cache)
    await world.put(CLUSTERROLES, "view", rules=[rule("get", "pods")])
    assert not authorizer.allowed(ALICE, PODS)
    await bind(world, "view", subject("User", "alice"), namespace="shop")
    assert authorizer.allowed(ALICE, PODS)
    assert not authorizer.allowed(ALICE, Attributes("get", resource="pods", namespace="other", name="web"))
    await bind(world, "view", subject("Group", "devs"))
    assert authorizer.allowed(ALICE, Attributes("get", resource="pods", namespace="other", name="web"))
    await world.delete(CLUSTERROLEBINDINGS, "view")
    assert not authorizer.allowed(ALICE, Attributes("get", resource="pods", namespace="other", name="web"))


async def test_a_role_of_a_namespace_counts_there_only_and_changes_at_once(world: World) -> None:
    authorizer = Authorizer(world.cache)
    await bind(world, "read", subject("User", "alice"), namespace="shop", kind="Role")
    assert not authorizer.allowed(ALICE, PODS)
    await world.put(ROLES, "read", "shop", rules=[rule("get", "pods")])
    assert authorizer.allowed(ALICE, PODS)
    await world.put(ROLES, "read", "shop", rules=[rule("list", "pods")])
    assert not authorizer.allowed(ALICE, PODS)


async def test_a_service_account_is_a_user_and_a_member_of_groups(world: World) -> None:
    authorizer = Authorizer(world.cache)
    await world.put(CLUSTERROLES, "view", rules=[rule("get", "pods")])
    await bind(world, "view", subject("ServiceAccount", "robot"), namespace="shop")
    assert authorizer.allowed(User("system:serviceaccount:shop:robot"), PODS)
    assert not authorizer.allowed(User("system:serviceaccount:other:robot"), PODS)


async def test_masters_may_everything_and_nobody_else_by_name(world: World) -> None:
    authorizer = Authorizer(world.cache)
    assert authorizer.allowed(User("x", ("system:masters",)), Attributes("explode", path="/"))
    assert not authorizer.allowed(User("system:masters"), PODS)


async def test_nodes_and_the_controller_manager_have_their_roles_without_a_binding(world: World) -> None:
    authorizer = Authorizer(world.cache)
    await world.put(CLUSTERROLES, "system:node", rules=[rule("get", "nodes")])
    await world.put(CLUSTERROLES, "system:controller:job-controller", rules=[rule("create", "pods")])
    assert authorizer.allowed(User("system:node:a", ("system:nodes",)), Attributes("get", resource="nodes", name="a"))
    assert authorizer.allowed(User("system:kube-controller-manager"), Attributes("create", resource="pods"))
    assert not authorizer.allowed(User("system:kube-scheduler"), Attributes("create", resource="pods"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            Attributes("list", resource="pods", namespace="shop"),
            'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "shop"',
        ),
        (
            Attributes("patch", "apps", "deployments", "scale", "shop", "web"),
            'deployments.apps "web" is forbidden: User "alice" cannot patch resource "deployments/scale" in API group '
            '"apps" in the namespace "shop"',
        ),
        (
            Attributes("get", resource="nodes", name="n"),
            'nodes "n" is forbidden: User "alice" cannot get resource "nodes" in API group "" at the cluster scope',
        ),
        (Attributes("get", path="/metrics"), 'forbidden: User "alice" cannot get path "/metrics"'),
    ],
)
async def test_a_refusal_says_who_may_not_do_what_where(world: World, asked: Attributes, words: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Authorizer(world.cache).require(ALICE, asked)
    assert (caught.value.code, caught.value.message) == (403, words)
