"""NodeRestriction: whose objects a kubelet may write."""

from __future__ import annotations

import dataclasses

import pytest

from panal.controlplane.apiserver.admission import Attributes, noderestriction
from panal.errors import Forbidden
from panal.resources import LEASES, NODES, PODS

from .conftest import Object, Stored, asking, pod

MIRROR = {"kubernetes.io/config.mirror": "x"}


def kubelet(asked: Attributes) -> None:
    asked = dataclasses.replace(asked, user="system:node:nodoa", groups=("system:nodes", "system:authenticated"))
    noderestriction.validate(asked, Stored())


def named(name: str, namespace: str = "") -> Object:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}


def mirror(node: str) -> Object:
    made = pod("static", nodeName=node)
    made["metadata"]["annotations"] = MIRROR
    return made


def test_a_kubelet_writes_what_is_its_own() -> None:
    own = pod("web", nodeName="nodoa")
    kubelet(asking(NODES, named("nodoa")))
    kubelet(asking(PODS, mirror("nodoa")))
    kubelet(asking(PODS, own, operation="UPDATE", old=own, subresource="status"))
    kubelet(asking(PODS, own, operation="DELETE", old=own))
    kubelet(asking(LEASES, named("nodoa", "kube-node-lease"), operation="UPDATE", old=named("nodoa")))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (asking(NODES, named("nodob"), operation="UPDATE", old=named("nodob")), "is not allowed to modify node"),
        (asking(PODS, pod("web", nodeName="nodoa")), 'node "nodoa" can only create mirror pods'),
        (asking(PODS, mirror("nodob")), "can only create pods with spec.nodeName set to itself"),
        (
            asking(PODS, pod("w", nodeName="nodob"), operation="DELETE", old=pod("w", nodeName="nodob")),
            'node "nodoa" can only delete pods with spec.nodeName set to itself',
        ),
        (
            asking(PODS, pod("w", nodeName="nodoa"), operation="UPDATE", old=pod("w"), subresource="status"),
            "can only update pod status for pods with spec.nodeName set to itself",
        ),
        (asking(LEASES, named("nodob", "kube-node-lease")), "can only access node lease with the same name"),
        (asking(LEASES, named("nodoa", "default")), 'can only access leases in the "kube-node-lease"'),
    ],
)
def test_a_kubelet_does_not_write_what_is_anothers(asked: Attributes, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        kubelet(asked)
    noderestriction.validate(asked, Stored())  # alice, who is no node, may
