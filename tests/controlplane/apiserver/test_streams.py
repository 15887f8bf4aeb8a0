"""What the API server asks a kubelet for when a client wants streams of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.streams import kubelet_path
from panal.errors import BadRequest


def pod(*names: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "p"}, "spec": {"containers": [{"name": name} for name in names]}}


def test_a_command_keeps_its_words_and_their_order() -> None:
    query = "command=sh&command=-c&command=echo+a%26b+%22c%22&stdout=true&stderr=true&container=b"
    wanted = "/exec/ns/p/b?command=sh&command=-c&command=echo+a%26b+%22c%22&error=1&output=1"
    assert kubelet_path(pod("a", "b"), "exec", query) == wanted


def test_streams_that_are_not_wanted_are_not_asked_for() -> None:
    assert kubelet_path(pod("a"), "attach", "stdin=true&stdout=true&stderr=false&tty=1&command=x") == (
        "/attach/ns/p/a?input=1&output=1&tty=1"
    )


def test_forwarding_needs_no_container() -> None:
    assert kubelet_path(pod("a", "b"), "portforward", "container=zz&ports=80") == "/portForward/ns/p?ports=80"


def test_a_container_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadRequest, match="container c is not valid for pod p"):
        kubelet_path(pod("a"), "exec", "command=ls&container=c")
    with pytest.raises(BadRequest, match="a container name must be specified for pod p"):
        kubelet_path(pod("a", "b"), "exec", "command=ls")


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(BadRequest):
        kubelet_path(pod("a"), "exec", "&".join(["command=x"] * 10_000))
