"""What a pod asks for, with init containers, sidecars and overhead."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver.admission import amounts

from .conftest import Object, container


def cpu(name: str, amount: str, **fields: object) -> Object:
    return {**container(name, {"cpu": amount}), **fields}


def test_containers_run_together_and_init_containers_one_after_the_other() -> None:
    spec = {"containers": [cpu("a", "1"), cpu("b", "500m")], "initContainers": [cpu("i", "1"), cpu("j", "2")]}
    assert amounts.of_pod(spec, "requests") == {"cpu": Decimal(2)}


def test_a_sidecar_counts_with_the_containers_and_with_the_init_containers_after_it() -> None:
    first = [cpu("before", "3"), cpu("sidecar", "1", restartPolicy="Always"), cpu("after", "3")]
    assert amounts.of_pod({"containers": [cpu("a", "1")], "initContainers": first}, "requests") == {"cpu": Decimal(4)}


def test_overhead_is_added_to_requests_and_to_limits_that_are_set() -> None:
    spec = {"containers": [cpu("a", "1")], "overhead": {"cpu": "250m", "memory": "1Mi"}}
    assert amounts.of_pod(spec, "requests") == {"cpu": Decimal("1.25"), "memory": Decimal(2**20)}
    assert amounts.of_pod(spec, "limits") == {}


@given(st.lists(st.integers(0, 10**6), min_size=1), st.lists(st.integers(0, 10**6)))
def test_a_pod_needs_the_sum_or_the_largest_of_the_first(running: list[int], first: list[int]) -> None:
    spec = {
        "containers": [cpu(str(index), f"{each}m") for index, each in enumerate(running)],
        "initContainers": [cpu(f"i{index}", f"{each}m") for index, each in enumerate(first)],
    }
    assert amounts.of_pod(spec, "requests")["cpu"] * 1000 == max(sum(running), *first, 0)
