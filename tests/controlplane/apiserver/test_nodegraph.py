"""The node authorizer: what a kubelet may read follows from the pods that are bound to its node."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.authn import User
from panal.controlplane.apiserver.authz import Attributes, Authorizer
from panal.controlplane.apiserver.nodegraph import references
from panal.controlplane.apiserver.request import Query, parse
from panal.errors import Forbidden
from panal.resources import CLUSTERROLES, PERSISTENTVOLUMES, PODS

from .conftest import World

NODE = User("system:node:a", ("system:nodes", "system:authenticated"))
SPEC: dict[str, Any] = {
    "nodeName": "a",
    "serviceAccountName": "robot",
    "imagePullSecrets": [{"name": "registry"}],
    "containers": [
        {
            "name": "c",
            "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "env-from"}}],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "password", "key": "a"}}}],
        }
    ],
    "volumes": [
        {"name": "s", "secret": {"secretName": "tls"}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "root-ca"}}, {"secret": {"name": "part"}}]}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
    ],
}
POD: dict[str, Any] = {"metadata": {"name": "web", "namespace": "shop"}, "spec": SPEC}


def get(resource: str, name: str, verb: str = "get", namespace: str = "shop", **more: str) -> Attributes:
    return Attributes(verb, resource=resource, name=name, namespace=namespace, **more)


def test_a_pod_refers_to_what_its_containers_and_volumes_name() -> None:
    assert set(references(POD)) == {
        ("serviceaccounts", "robot"), ("secrets", "registry"), ("configmaps", "settings"), ("secrets", "env-from"),
        ("secrets", "password"), ("secrets", "tls"), ("configmaps", "root-ca"), ("secrets", "part"),
        ("persistentvolumeclaims", "data"), ("persistentvolumeclaims", "web-e"),
    }  # fmt: skip


def test_a_mirror_pod_refers_to_nothing() -> None:
    assert not list(references({**POD, "metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (get("secrets", "tls"), None),
        (get("secrets", "tls", "watch"), None),
        (get("configmaps", "settings"), None),
        (get("persistentvolumeclaims", "data"), None),
        (get("persistentvolumes", "disk", namespace=""), None),
        (get("serviceaccounts", "robot", "create", subresource="token"), None),
        (get("pods", "web"), None),
        (get("secrets", "other"), "no relationship found between node 'a' and this object"),
        (get("secrets", "tls", namespace="bank"), "no relationship found between node 'a' and this object"),
        (get("secrets", "", "list"), "No Object name found"),
        (get("secrets", "", "list", namespace=""), "can only read namespaced object of this type"),
        (get("secrets", "tls", "update"), "can only read resources of this type"),
        (get("persistentvolumes", "foreign", namespace=""), "no relationship found between node 'a' and this object"),
        (get("persistentvolumeclaims", "data", "list"), "can only get individual resources of this type"),
        (get("serviceaccounts", "default", "create", subresource="token"),
         "no relationship found between node 'a' and this object"),
        (get("serviceaccounts", "", "create"), "can only create tokens for individual service accounts"),
    ],
)  # fmt: skip
async def test_a_kubelet_reads_what_its_pods_need_and_no_more(world: World, asked: Attributes, why: str | None) -> None:
    rule = {"apiGroups": [""], "resources": ["pods", "secrets", "configmaps"], "verbs": ["get", "list", "watch"]}
    await world.put(CLUSTERROLES, "system:node", rules=[rule])
    await world.put(PODS, "web", "shop", spec=SPEC)
    await world.put(PODS, "other", "shop", spec={"nodeName": "b", "imagePullSecrets": [{"name": "other"}]})
    for name, claim in (("disk", "data"), ("foreign", "else")):
        await world.put(PERSISTENTVOLUMES, name, spec={"claimRef": {"namespace": "shop", "name": claim}})
    authorizer = Authorizer(world.cache)
    if why is None:
        authorizer.require(NODE, asked)
        return
    with pytest.raises(Forbidden) as raised:
        authorizer.require(NODE, asked)
    assert raised.value.message.endswith(f": {why}")


async def test_what_a_kubelet_may_read_follows_the_binding_of_pods(world: World) -> None:
    authorizer = Authorizer(world.cache)
    await world.put(PODS, "web", "shop", spec={**SPEC, "nodeName": ""})
    assert not authorizer.allowed(NODE, get("secrets", "tls"))
    await world.put(PODS, "web", "shop", spec=SPEC)
    assert authorizer.allowed(NODE, get("secrets", "tls"))
    await world.delete(PODS, "web", "shop")
    assert not authorizer.allowed(NODE, get("secrets", "tls"))


def test_a_collection_asked_for_by_name_has_that_name() -> None:
    target = parse("GET", "/api/v1/namespaces/shop/secrets", Query("watch=1"))
    asked = Attributes.of(target, Query("watch=1&fieldSelector=metadata.name%3Dtls"))
    assert (asked.verb, asked.name) == ("watch", "tls")
    assert Attributes.of(target, Query("fieldSelector=type%3DOpaque")).name == ""
