"""The 143 recorded answers of a real Kubernetes, asked of a real API server process in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ApiServer, make
from .recorded import Recorder, cases

DIFFERENT = {
    137: "recorded with a static token, whose user has a uid; a client certificate's has none",
    141: "the checks are those of this server's parts, which are not those of another server",
}
"""Cases whose answers differ, and why."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, list[str]]]:
    """How each answer differs. All are asked before any is judged, because later ones depend on earlier ones."""
    server = started(tmp_path_factory.mktemp("recorded"))
    recorder = Recorder(server)
    try:
        recorder.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield {index: recorder.repeat(case) for index, case in enumerate(cases("answers.json"))}
    finally:
        recorder.close()
        assert server.stop() == 0, server.log()


def started(home: Path) -> ApiServer:
    """A server whose Services have the recorded cluster's range."""
    server = make(home, arguments=["--service-cluster-ip-range=10.96.0.0/16"])
    server.start()
    return server


def _name(index: int) -> str:
    request = cases("answers.json")[index]["request"]
    return f"{index}-{request['method']}-{request['path'].partition('?')[0].rpartition('/')[2]}"


@pytest.mark.parametrize("index", range(len(cases("answers.json"))), ids=_name)
def test_a_recorded_question_gets_the_recorded_answer(answers: dict[int, list[str]], index: int) -> None:
    if index in DIFFERENT:
        assert answers[index] != [], f"it differs no more: take it from the table ({DIFFERENT[index]})"
    else:
        assert answers[index] == []
