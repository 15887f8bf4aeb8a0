from __future__ import annotations

from typing import Any

from panal.controlplane.controllers.namespace import decide

NOW = 1_700_000_000.0


def namespace(**meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "shop", **meta}, "spec": {"finalizers": ["kubernetes", "mine"]}, "status": {}}


def said(left: decide.Remaining) -> dict[str, tuple[str, str]]:
    found = decide.new_status(namespace(deletionTimestamp="now"), left, NOW)
    assert found["phase"] == "Terminating"
    return {item["type"]: (item["status"], item["message"]) for item in found["conditions"]}


def test_only_a_deleted_namespace_with_the_finalizer_is_emptied() -> None:
    assert not decide.must_finalize(namespace())
    leaving = namespace(deletionTimestamp="now")
    assert decide.must_finalize(leaving)
    assert decide.finalized(leaving)["spec"]["finalizers"] == ["mine"]
    assert not decide.must_finalize(decide.finalized(leaving))


def test_the_conditions_say_what_is_left_and_what_it_waits_for() -> None:
    found = said(decide.Remaining({"pods.": 2, "deployments.apps": 1}, {"example.com/keep": 1}))
    assert found["NamespaceContentRemaining"] == (
        "True",
        "Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances",
    )
    assert found["NamespaceFinalizersRemaining"] == (
        "True",
        "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances",
    )
    assert found["NamespaceDeletionContentFailure"][0] == "False"


def test_an_empty_namespace_has_nothing_to_complain_of() -> None:
    left = decide.Remaining({}, {})
    assert left.empty
    assert {status for status, _ in said(left).values()} == {"False"}


def test_a_count_that_changes_renews_the_message_but_not_the_time() -> None:
    before = namespace(deletionTimestamp="now")
    before["status"] = decide.new_status(before, decide.Remaining({"pods.": 2}, {}), NOW)
    after = decide.new_status(before, decide.Remaining({"pods.": 1}, {}), NOW + 60)
    content = next(item for item in after["conditions"] if item["type"] == "NamespaceContentRemaining")
    assert content["message"].endswith("pods. has 1 resource instances")
    assert content["lastTransitionTime"] == "2023-11-14T22:13:20Z"


def test_rounds_come_quickly_first_and_never_further_apart_than_five_seconds() -> None:
    left = decide.Remaining({"pods.": 1}, {})
    waits = [decide.wait(attempt, left, 30.0) for attempt in range(60)]
    assert waits[0] < 0.1
    assert waits == sorted(waits)
    assert waits[-1] == 5.0
