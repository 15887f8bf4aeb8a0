"""Events that repeat: counted, combined, not heard, in series."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from panal.correlate import BURST, REFILL, SERIES, SIMILAR, WITHIN, Correlator, Create, Patch

Object = dict[str, Any]
POD = {"kind": "Pod", "namespace": "default", "name": "web", "uid": "u", "resourceVersion": "1"}


def event(message: str, reason: str = "BackOff", number: int = 0, **target: str) -> Object:
    return {
        "metadata": {"name": f"web.{number:x}", "namespace": "default"},
        "involvedObject": {**POD, **target},
        "source": {"component": "kubelet", "host": "a"},
        "reportingComponent": "kubelet",
        "reportingInstance": "a",
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": f"t{number}",
        "eventTime": f"m{number}",
        "count": 1,
    }


def test_the_same_again_raises_the_count_whatever_state_the_object_is_in() -> None:
    found = Correlator()
    assert isinstance(found.core(event("no", number=1), 0.0), Create)
    again = found.core(event("no", number=2, resourceVersion="7"), 5.0)
    assert isinstance(again, Patch)
    assert (again.name, again.patch) == ("web.1", {"count": 2, "lastTimestamp": "t2", "message": "no"})
    assert isinstance(found.core(event("no", number=3, fieldPath="spec.containers{x}"), 5.0), Create)


def test_the_tenth_message_of_one_reason_and_all_after_it_become_one_event() -> None:
    found = Correlator()
    for number in range(SIMILAR - 1):
        assert isinstance(found.core(event(f"no {number}", number=number), float(number)), Create)
    tenth = found.core(event("no 9", number=9), 9.0)
    assert isinstance(tenth, Create)
    assert tenth.event["message"] == "(combined from similar events): no 9"
    later = found.core(event("no 10", number=10), 10.0)
    assert isinstance(later, Patch)
    assert (later.name, later.patch["count"]) == ("web.9", 2)
    assert later.patch["message"] == "(combined from similar events): no 10"
    other = found.core(event("no 11", "Unhealthy", 11), 10.0)
    assert isinstance(other, Create)
    assert other.event["message"] == "no 11", "another reason is another story"
    quiet = found.core(event("no 12", number=12), 10.0 + WITHIN + 1)
    assert isinstance(quiet, Create)
    assert quiet.event["message"] == "no 12", "after ten minutes it begins anew"


def test_who_says_too_much_of_one_object_is_not_heard_until_later() -> None:
    found = Correlator()
    said = [found.core(event("no", number=number), 0.0) for number in range(BURST + 5)]
    assert [item is None for item in said] == [False] * BURST + [True] * 5
    assert found.core(event("no", uid="other"), 0.0) is not None
    assert found.core(event("no"), REFILL) is not None
    assert found.core(event("no"), REFILL) is None


def test_an_event_that_has_expired_is_told_anew() -> None:
    found = Correlator()
    found.core(event("no", number=1), 0.0)
    gone = found.core(event("no", number=2), 1.0)
    assert isinstance(gone, Patch)
    found.lost(gone.key)
    assert isinstance(found.core(event("no", number=3), 1.0), Create)


def test_a_series_counts_what_is_said_of_one_state_of_an_object_and_ends_after_a_while() -> None:
    found = Correlator()
    assert isinstance(found.series(event("0/1 nodes", number=1), 0.0), Create)
    again = found.series(event("0/1 nodes", number=2), 1.0)
    assert isinstance(again, Patch)
    assert again.patch == {"series": {"count": 2, "lastObservedTime": "m2"}}
    assert isinstance(found.series(event("0/2 nodes", number=3, resourceVersion="2"), 1.0), Create)
    assert isinstance(found.series(event("0/1 nodes", number=4), 2.0 + SERIES), Create)


@given(st.lists(st.tuples(st.integers(0, 14), st.sampled_from("ab"), st.floats(0, 400)), max_size=60))
def test_whatever_is_said_each_event_written_is_patched_with_a_growing_count(
    history: list[tuple[int, str, float]],
) -> None:
    found, now, counts = Correlator(), 0.0, dict[str, int]()
    for number, (message, uid, pause) in enumerate(history):
        now += pause
        match found.core(event(f"m{message}", number=number, uid=uid), now):
            case Create(made, _):
                assert made["metadata"]["name"] not in counts
                counts[made["metadata"]["name"]] = 1
            case Patch(name, _, patch, _):
                counts[name] += 1
                assert patch["count"] == counts[name]
