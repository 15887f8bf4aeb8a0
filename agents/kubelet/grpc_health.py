"""One call of grpc.health.v1.Health/Check over clear-text HTTP/2, for grpc probes; just the frames this call needs.

RFC 9113 (frames), RFC 7541 appendix A and 6.2.2 (headers as literals), https://grpc.io/docs/guides/health-checking/.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_FRAME_LIMIT = 1 << 16
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
"""HealthCheckResponse.ServingStatus."""


class NotGRPC(Exception):
    """The other side does not speak gRPC, or not this service."""


async def check(host: str, port: int, service: str, connected: Callable[[], None] = lambda: None) -> str:
    """How `service` ("" is the whole server) is: SERVING, NOT_SERVING... `connected` is called once one is.

    Raises OSError, NotGRPC.
    """
    reader, writer = await asyncio.open_connection(host, port)
    connected()
    try:
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        writer.write(_frame(_HEADERS, _END_HEADERS, 1, _request_headers(f"{host}:{port}")))
        writer.write(_frame(_DATA, _END_STREAM, 1, _message(service)))
        return await _answer(reader, writer)
    except asyncio.IncompleteReadError as error:
        raise NotGRPC("the connection was closed") from error
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    body = b""
    while True:
        head = await reader.readexactly(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        if length > _FRAME_LIMIT:
            raise NotGRPC("a frame is too long")
        payload = await reader.readexactly(length)
        if kind == _SETTINGS and not flags & _ACK:
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _DATA:
            body += payload
            if len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], "big"):
                return _status(body[5:])
        elif kind in (_RST, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
            raise NotGRPC("the health service did not answer")


def _status(message: bytes) -> str:
    """Field 1 of the answer; an empty message is the default, UNKNOWN."""
    if not message:
        return _STATUSES[0]
    if message[:1] != b"\x08" or len(message) < 2 or message[1] not in _STATUSES:
        raise NotGRPC("the health service gave an answer that is none")
    return _STATUSES[message[1]]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _message(service: str) -> bytes:
    name = service.encode()
    request = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(request).to_bytes(4, "big") + request


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _request_headers(authority: str) -> bytes:
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", authority.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"kube-probe/1.36"),
    )
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def _text(text: bytes) -> bytes:
    """A string literal without Huffman coding; all of ours are shorter than 127 bytes."""
    return bytes([len(text)]) + text
