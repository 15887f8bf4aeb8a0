"""What a real Kubernetes makes of new objects of 44 kinds: defaults, allocated fields, managedFields, word by word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .recorded import Recorder, cases
from .test_recorded_answers import started

DIFFERENT = {}
"""Cases whose answers differ, and why."""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    server = started(tmp_path_factory.mktemp("defaults"))
    found = Recorder(server)
    found.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    try:
        yield found
    finally:
        found.close()
        assert server.stop() == 0, server.log()


def _name(index: int) -> str:
    return f"{index}-{cases('defaults.json')[index]['request']['path'].rpartition('/')[2]}"


@pytest.mark.parametrize("index", range(len(cases("defaults.json"))), ids=_name)
def test_a_new_object_is_filled_in_as_recorded(recorder: Recorder, index: int) -> None:
    differences = recorder.repeat(cases("defaults.json")[index])
    if index in DIFFERENT:
        assert differences != [], f"it differs no more: take it from the table ({DIFFERENT[index]})"
    else:
        assert differences == []
