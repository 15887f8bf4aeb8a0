"""One call of grpc.health.v1.Health/Check over clear-text HTTP/2, for grpc probes; just the frames this call needs.

RFC 9113 (frames), RFC 7541 appendix A and 6.2.2 (headers as literals), https://grpc.io/docs/guides/health-checking/.
"""

from __future__ import annotations

import asyncio
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_FRAME_LIMIT = 1 << 16
_SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING}."""


class NotGRPC(Exception):
    """The other side does not speak gRPC, or not this service."""


async def check(host: str, port: int, service: str) -> bool:
    """Whether `service` ("" is the whole server) is SERVING. Raises OSError, NotGRPC."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        writer.write(_frame(_HEADERS, _END_HEADERS, 1, _request_headers(f"{host}:{port}")))
        writer.write(_frame(_DATA, _END_STREAM, 1, _message(service)))
        return await _answer(reader, writer)
    except asyncio.IncompleteReadError as error:
        raise NotGRPC("the connection was closed") from error
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
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
                return body[5:].startswith(_SERVING)
        elif kind in (_RST, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
            raise NotGRPC("the health service did not answer")


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
