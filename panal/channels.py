"""Several streams in one WebSocket, as Kubernetes' remote commands have them (subprotocols *.channel.k8s.io).

Each message is a byte that names the channel, and data. Version 5 adds a channel whose message closes another one; with
older ones an input ends only with the connection. The last thing told is a Status object on the error channel; before
version 4 it was the words of a failure, and nothing after a success. The base64 forms, for JavaScript in browsers, are
text: a digit names the channel, and the data are in base64. Pure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
V4_BASE64, V1, V1_BASE64 = "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"
PROTOCOLS = (V5, V4, V4_BASE64, V1, V1_BASE64)
"""In the order we like them."""
_BASE64 = (V4_BASE64, V1_BASE64)
_WORDS_ONLY = (V1, V1_BASE64)
NAMES = {STDIN: "stdin", STDOUT: "stdout", STDERR: "stderr", ERROR: "error", RESIZE: "resize"}
NUMBERS = {name: number for number, name in NAMES.items()}
_SIZE_LIMIT = 4096


class ProtocolError(ValueError):
    """The peer sent what the protocol does not have."""


def choose(offered: Iterable[str], known: Sequence[str] = PROTOCOLS) -> str | None:
    """The version to speak, None when there is none in common."""
    there = set(offered)
    return next((protocol for protocol in known if protocol in there), None)


def encode(stream: str, data: bytes, version: str = V5) -> bytes | str:
    """A binary message, or a text."""
    if version in _BASE64:
        return f"{NUMBERS[stream]}{base64.b64encode(data).decode()}"
    return bytes((NUMBERS[stream],)) + data


def ending(status: bytes, version: str) -> bytes:
    """What a version tells on the error channel of an end that has this Status; empty for nothing."""
    if version not in _WORDS_ONLY:
        return status
    told = orjson.loads(status)
    return b"" if told.get("status") == "Success" else str(told.get("message", "")).encode()


def decode(message: bytes, *, version: str) -> tuple[str, bytes | None]:
    """(stream, data) of a message, the data None when the stream is closed. Raises ProtocolError."""
    if not message:
        raise ProtocolError("a message without a channel")
    channel, data = message[0], message[1:]
    if version in _BASE64:
        channel, data = channel - ord("0"), _from_base64(data)
    if channel == CLOSE and version == V5:
        if len(data) != 1 or data[0] not in NAMES:
            raise ProtocolError("an unknown channel is closed")
        return NAMES[data[0]], None
    if channel not in NAMES:
        raise ProtocolError(f"unknown channel {channel}")
    return NAMES[channel], data


def _from_base64(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ProtocolError("the message is not in base64") from None


def size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a message on the resize channel tells; None when it makes no sense."""
    if len(data) > _SIZE_LIMIT:
        return None
    try:
        told = orjson.loads(data)
        rows, columns = int(told["Height"]), int(told["Width"])
    except (ValueError, TypeError, KeyError):
        return None
    return (rows, columns) if 0 < rows < 65536 and 0 < columns < 65536 else None


def succeeded() -> bytes:
    """The Status of a command that ended well."""
    return orjson.dumps({"metadata": {}, "status": "Success"})


def exited(code: int) -> bytes:
    """The Status of a command that ended with this exit code."""
    if code == 0:
        return succeeded()
    return _failure(
        {
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    )


def failed(message: str) -> bytes:
    """The Status of what could not be done, as an internal error."""
    return _failure(
        {
            "message": f"Internal error occurred: {message}",
            "reason": "InternalError",
            "details": {"causes": [{"message": message}]},
            "code": 500,
        }
    )


def _failure(told: dict[str, Any]) -> bytes:
    return orjson.dumps({"metadata": {}, "status": "Failure", **told})
