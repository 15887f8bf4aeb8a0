"""NamespaceLifecycle: where things may be created."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.admission import namespaces
from panal.errors import Forbidden, NotFound
from panal.resources import NAMESPACES, NODES, PODS

from .conftest import Stored, asking, pod


def shop(phase: str) -> Stored:
    stored = Stored()
    stored.put(NAMESPACES, {"metadata": {"name": "shop"}, "status": {"phase": phase}})
    return stored


def test_an_active_namespace_takes_what_comes() -> None:
    namespaces.admit(asking(PODS, pod()), shop("Active"))


def test_nothing_is_created_in_a_namespace_that_is_not_there() -> None:
    with pytest.raises(NotFound, match='namespaces "shop" not found'):
        namespaces.admit(asking(PODS, pod()), Stored())


def test_nothing_new_enters_a_namespace_that_goes_but_what_is_there_may_change() -> None:
    stored = shop("Terminating")
    with pytest.raises(Forbidden) as caught:
        namespaces.admit(asking(PODS, pod()), stored)
    assert caught.value.message == (
        'pods "web" is forbidden: unable to create new content in namespace shop because it is being terminated'
    )
    assert (caught.value.details or {})["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace shop is being terminated",
            "field": "metadata.namespace",
        }
    ]
    namespaces.admit(asking(PODS, pod(), operation="UPDATE", old=pod()), stored)


def test_what_has_no_namespace_needs_none() -> None:
    namespaces.admit(asking(NODES, {"metadata": {"name": "n"}}), Stored())


def test_some_namespaces_always_stay() -> None:
    obj = {"metadata": {"name": "kube-system"}}
    with pytest.raises(Forbidden, match='namespaces "kube-system" is forbidden: this namespace may not be deleted'):
        namespaces.admit(asking(NAMESPACES, obj, operation="DELETE", old=obj), Stored())
    mine = {"metadata": {"name": "mine"}}
    namespaces.admit(asking(NAMESPACES, mine, operation="DELETE", old=mine), Stored())
