"""Priority: the class says the number."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.admission import priority
from panal.errors import Forbidden
from panal.resources import PODS, PRIORITYCLASSES

from .conftest import Stored, asking, pod


def classes(**values: int) -> Stored:
    stored = Stored()
    for name, value in values.items():
        stored.put(PRIORITYCLASSES, {"metadata": {"name": name}, "value": value})
    return stored


def test_a_pod_without_a_class_has_priority_nought_and_may_preempt() -> None:
    obj = pod()
    priority.admit(asking(PODS, obj), Stored())
    assert (obj["spec"]["priority"], obj["spec"]["preemptionPolicy"]) == (0, "PreemptLowerPriority")


def test_a_pod_has_the_value_of_its_class() -> None:
    obj = pod(priorityClassName="high")
    priority.admit(asking(PODS, obj), classes(high=7))
    assert obj["spec"]["priority"] == 7


def test_of_several_defaults_the_smallest_counts() -> None:
    stored = Stored()
    for name, value in (("a", 5), ("b", 3)):
        stored.put(PRIORITYCLASSES, {"metadata": {"name": name}, "value": value, "globalDefault": True})
    obj = pod()
    priority.admit(asking(PODS, obj), stored)
    assert (obj["spec"]["priorityClassName"], obj["spec"]["priority"]) == ("b", 3)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(Forbidden, match="no PriorityClass with name nada was found"):
        priority.admit(asking(PODS, pod(priorityClassName="nada")), Stored())


def test_nobody_chooses_the_number_himself() -> None:
    with pytest.raises(Forbidden, match=r"the integer value of priority \(9\) must not be provided in pod spec"):
        priority.admit(asking(PODS, pod(priorityClassName="high", priority=9)), classes(high=7))
