"""RuntimeClass: what a pod gets from the class that it names."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.admission import runtimeclass
from panal.errors import Forbidden
from panal.resources import PODS, resource

from .conftest import Stored, asking, pod


def classes(**fields: Any) -> Stored:
    stored = Stored()
    stored.put(resource("runtimeclasses"), {"metadata": {"name": "slow"}, "handler": "h", **fields})
    return stored


def test_a_pod_gets_overhead_selector_and_tolerations_of_its_class() -> None:
    toleration = {"key": "slow", "operator": "Exists"}
    stored = classes(
        overhead={"podFixed": {"cpu": "1"}},
        scheduling={"nodeSelector": {"kind": "slow"}, "tolerations": [toleration]},
    )
    obj = pod(runtimeClassName="slow", nodeSelector={"zone": "a"}, tolerations=[{"key": "own"}, toleration])
    runtimeclass.admit(asking(PODS, obj), stored)
    assert obj["spec"]["overhead"] == {"cpu": "1"}
    assert obj["spec"]["nodeSelector"] == {"zone": "a", "kind": "slow"}
    assert obj["spec"]["tolerations"] == [{"key": "own"}, toleration]
    runtimeclass.validate(asking(PODS, obj), stored)


def test_a_class_that_is_not_there_rejects_the_pod() -> None:
    with pytest.raises(Forbidden, match='pod rejected: RuntimeClass "none" not found'):
        runtimeclass.admit(asking(PODS, pod(runtimeClassName="none")), classes())


def test_a_pod_cannot_contradict_its_class() -> None:
    stored = classes(overhead={"podFixed": {"cpu": "1"}}, scheduling={"nodeSelector": {"kind": "slow"}})
    with pytest.raises(Forbidden, match=r"conflict: runtimeClass.scheduling.nodeSelector\[kind\] = slow; pod.spec"):
        runtimeclass.admit(asking(PODS, pod(runtimeClassName="slow", nodeSelector={"kind": "quick"})), stored)
    with pytest.raises(Forbidden, match="Pod's Overhead doesn't match"):
        runtimeclass.admit(asking(PODS, pod(runtimeClassName="slow", overhead={"cpu": "2"})), stored)
    runtimeclass.admit(asking(PODS, pod(runtimeClassName="slow", overhead={"cpu": "1000m"})), stored)


def test_overhead_comes_from_a_class_only() -> None:
    with pytest.raises(Forbidden, match="Pod Overhead set without corresponding RuntimeClass defined Overhead"):
        runtimeclass.validate(asking(PODS, pod(overhead={"cpu": "1"})), Stored())
