from __future__ import annotations

import pytest

from panal.controlplane.controllers import hashing, meta, pods


def test_a_slow_start_doubles_and_never_exceeds_the_count() -> None:
    assert list(pods.batches(12)) == [1, 2, 4, 5]
    assert list(pods.batches(0)) == []


def ready(since: str) -> dict[str, object]:
    return {"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]}}


def test_a_ready_pod_becomes_available_after_min_ready_seconds() -> None:
    pod = ready("2023-11-14T22:13:20Z")
    assert pods.is_available(pod, 0, 0.0)
    assert not pods.is_available(pod, 10, 1_700_000_009.0)
    assert pods.is_available(pod, 10, 1_700_000_010.0)
    assert pods.next_available([pod], 10, 1_700_000_004.0) == 6.0
    assert pods.next_available([pod], 10, 1_700_000_011.0) is None


def test_a_hash_depends_on_the_meaning_of_the_template_only() -> None:
    one = {"metadata": {"labels": {"a": "b"}, "creationTimestamp": None}, "spec": {"containers": []}}
    same = {"spec": {"containers": []}, "metadata": {"annotations": {}, "labels": {"a": "b"}}}
    other = {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": []}}
    assert hashing.template_hash(one) == hashing.template_hash(same)
    assert hashing.template_hash(one) != hashing.template_hash(other)
    assert hashing.template_hash(one) != hashing.template_hash(one, 1)
    assert set(hashing.template_hash(one)) <= set(hashing.SAFE)


def test_the_hash_function_is_fnv1a() -> None:
    assert hashing.fnv1a(b"") == 0x811C9DC5
    assert hashing.fnv1a(b"a") == 0xE40C292C
    assert hashing.fnv1a(b"foobar") == 0xBF9CF968


def test_an_empty_volume_source_is_not_the_same_as_none() -> None:
    assert hashing.normal({"volumes": [{"emptyDir": {}}], "labels": {}}) == {"volumes": [{"emptyDir": {}}]}


@pytest.mark.parametrize(
    ("value", "up", "expected"),
    [(2, True, 2), ("25%", True, 1), ("25%", False, 0), ("100%", False, 3), (None, True, 0)],
)
def test_percentages_round_as_asked(value: int | str | None, up: bool, expected: int) -> None:
    assert meta.scaled_value(value, 3, round_up=up) == expected


def test_a_condition_keeps_its_transition_time_while_the_status_stays() -> None:
    old = {"type": "A", "status": "True", "reason": "x", "lastTransitionTime": "t0"}
    new = {"type": "A", "status": "True", "reason": "y", "lastTransitionTime": "t1"}
    assert meta.with_condition([old], new) == [{**new, "lastTransitionTime": "t0"}]
    assert meta.with_condition([old], {**old, "lastTransitionTime": "t2"}) == [old]
    assert meta.with_condition([old], {**new, "status": "False"})[0]["lastTransitionTime"] == "t1"
