"""Channels of a WebSocket, and how the end of a command is told."""

from __future__ import annotations

import orjson
import pytest

from panal import channels
from panal.channels import V1, V1_BASE64, V4, V4_BASE64, V5, ProtocolError


def test_the_newest_common_version_is_chosen() -> None:
    assert channels.choose([V4, V5]) == V5
    assert channels.choose(["v3.channel.k8s.io", V4]) == V4
    assert channels.choose(["chat"]) is None


def test_a_message_names_its_channel() -> None:
    assert channels.encode("stdout", b"hi") == b"\x01hi"
    assert channels.decode(b"\x00typed", version=V4) == ("stdin", b"typed")


def test_only_version_5_closes_channels() -> None:
    assert channels.decode(b"\xff\x00", version=V5) == ("stdin", None)
    with pytest.raises(ProtocolError):
        channels.decode(b"\xff\x00", version=V4)


@pytest.mark.parametrize("message", [b"", b"\x09x", b"\xff", b"\xff\x09", b"\xff\x00\x00"])
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        channels.decode(message, version=V5)


def test_browsers_speak_in_base64() -> None:
    assert channels.choose([V1_BASE64]) == V1_BASE64
    assert channels.encode("stdout", b"\xffhi", V4_BASE64) == "1/2hp"
    assert channels.decode(b"0Zm9vCgo=", version=V1_BASE64) == ("stdin", b"foo\n\n"[:5])
    with pytest.raises(ProtocolError):
        channels.decode(b"0*", version=V4_BASE64)


def test_before_version_4_a_success_is_silent_and_a_failure_its_words() -> None:
    assert channels.ending(channels.exited(0), V1) == b""
    assert channels.ending(channels.exited(2), V1_BASE64).startswith(b"command terminated with non-zero exit code")
    assert channels.ending(channels.exited(0), V4) == channels.succeeded()


def test_sizes() -> None:
    assert channels.size(b'{"Width":80,"Height":24}\n') == (24, 80)
    for bad in (b"", b"[]", b'{"Width":80}', b'{"Width":0,"Height":24}', b'{"Width":70000,"Height":24}', b"9" * 5000):
        assert channels.size(bad) is None


def test_how_a_command_ended_in_kubernetes_words() -> None:
    assert orjson.loads(channels.exited(0)) == {"metadata": {}, "status": "Success"}
    assert orjson.loads(channels.exited(3)) == {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: exit status 3",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }
    failed = orjson.loads(channels.failed("error executing command in container: no"))
    assert failed["message"] == "Internal error occurred: error executing command in container: no"
    assert (failed["reason"], failed["code"]) == ("InternalError", 500)
