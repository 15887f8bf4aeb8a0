"""SPDY/3.1 frames, as far as Kubernetes' streams need them: bytes to frames and back. Pure.

The draft is https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/. Peers of Kubernetes keep no flow
control windows, so WINDOW_UPDATE is read over; a receiver that is full stops reading the connection.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

VERSION = 3
MAX_CONTROL = 64 * 1024
"""A longer control frame is a broken peer's."""
MAX_HEADERS = 128 * 1024
_FIN = 1
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_WORD = struct.Struct(">I")
_HEAD = struct.Struct(">II")

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5
"""Why a stream is reset."""


class ProtocolError(ValueError):
    """The peer's bytes are no SPDY/3.1."""


@dataclass(frozen=True)
class SynStream:
    """The peer opens a stream."""

    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True)
class SynReply:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True)
class Headers:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True)
class Data:
    """A piece of a data frame; `fin` with the last piece of a stream's last frame."""

    stream: int
    payload: bytes
    fin: bool = False


@dataclass(frozen=True)
class Reset:
    stream: int
    status: int


@dataclass(frozen=True)
class Ping:
    number: int


@dataclass(frozen=True)
class GoAway:
    last_stream: int
    status: int


Frame = SynStream | SynReply | Headers | Data | Reset | Ping | GoAway


class Decoder:
    """Turns a connection's bytes into frames, data as it comes, so that no more than a control frame is kept."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._inflate = zlib.decompressobj(zdict=dictionary())
        self._data: tuple[int, int, bool] | None = None
        """(stream, bytes still to come, fin) of the data frame that is being read."""

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that `chunk` completes. Raises ProtocolError; the connection is then lost."""
        self._bytes += chunk
        while (frame := self._next()) is not None:
            if not isinstance(frame, _Nothing):
                yield frame

    def _next(self) -> Frame | _Nothing | None:
        if self._data is not None:
            return self._more_data(*self._data)
        if len(self._bytes) < 8:
            return None
        first, second = _HEAD.unpack_from(self._bytes)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first & 0x80000000:
            del self._bytes[:8]
            self._data = (first, length, bool(flags & _FIN))
            return self._more_data(*self._data)
        if first >> 16 & 0x7FFF != VERSION:
            raise ProtocolError(f"SPDY version {first >> 16 & 0x7FFF}")
        if length > MAX_CONTROL:
            raise ProtocolError("control frame too long")
        if len(self._bytes) < 8 + length:
            return None
        body = bytes(self._bytes[8 : 8 + length])
        del self._bytes[: 8 + length]
        return self._control(first & 0xFFFF, flags, body)

    def _more_data(self, stream: int, left: int, fin: bool) -> Frame | None:
        if left and not self._bytes:
            return None
        piece = bytes(self._bytes[:left])
        del self._bytes[: len(piece)]
        left -= len(piece)
        self._data = (stream, left, fin) if left else None
        return Data(stream, piece, fin and not left)

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | _Nothing:
        fin = bool(flags & _FIN)
        try:
            if kind == _SYN_STREAM:
                return SynStream(_number(body), self._headers(body[10:]), fin)
            if kind == _SYN_REPLY:
                return SynReply(_number(body), self._headers(body[4:]), fin)
            if kind == _HEADERS:
                return Headers(_number(body), self._headers(body[4:]), fin)
            if kind == _RST_STREAM:
                return Reset(_number(body), _WORD.unpack_from(body, 4)[0])
            if kind == _PING:
                return Ping(_WORD.unpack_from(body)[0])
            if kind == _GOAWAY:
                return GoAway(_number(body), _WORD.unpack_from(body, 4)[0])
        except (struct.error, zlib.error, UnicodeDecodeError, IndexError) as error:
            raise ProtocolError(f"bad control frame {kind}: {error}") from None
        return _Nothing()

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise ProtocolError("headers too long")
        (count,) = _WORD.unpack_from(plain)
        place, words = 4, []
        for _ in range(2 * min(count, MAX_HEADERS)):
            (length,) = _WORD.unpack_from(plain, place)
            place += 4
            if place + length > len(plain):
                raise ProtocolError("headers end early")
            words.append(plain[place : place + length].decode())
            place += length
        return dict(zip((name.lower() for name in words[::2]), words[1::2], strict=True))


@dataclass(frozen=True)
class _Nothing:
    """A frame of no interest."""


class Encoder:
    """Turns frames into bytes; one for a connection, because headers are compressed across frames."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=dictionary())

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream, payload, fin):
                return _HEAD.pack(stream, (_FIN if fin else 0) << 24 | len(payload)) + payload
            case SynStream(stream, headers, fin):
                return _control(_SYN_STREAM, _HEAD.pack(stream, 0) + b"\0\0" + self._block(headers), fin)
            case SynReply(stream, headers, fin):
                return _control(_SYN_REPLY, _WORD.pack(stream) + self._block(headers), fin)
            case Headers(stream, headers, fin):
                return _control(_HEADERS, _WORD.pack(stream) + self._block(headers), fin)
            case Reset(stream, status):
                return _control(_RST_STREAM, _HEAD.pack(stream, status))
            case Ping(number):
                return _control(_PING, _WORD.pack(number))
            case GoAway(last_stream, status):
                return _control(_GOAWAY, _HEAD.pack(last_stream, status))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        words = [word for name, value in headers.items() for word in (name.lower().encode(), value.encode())]
        plain = _WORD.pack(len(headers)) + b"".join(_WORD.pack(len(word)) + word for word in words)
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, body: bytes, fin: bool = False) -> bytes:
    return _HEAD.pack(0x80000000 | VERSION << 16 | kind, (_FIN if fin else 0) << 24 | len(body)) + body


def _number(body: bytes) -> int:
    return int(_WORD.unpack_from(body)[0]) & 0x7FFFFFFF


@cache
def dictionary() -> bytes:
    """What both sides' header compression starts with (section 2.6.10.1 of the draft): words with their length before
    them, then text without."""
    words = [*_WORDS.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    return b"".join(_WORD.pack(len(word)) + word.encode() for word in words) + _TEXT.encode()


_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
authorization cache-control connection content-base content-encoding content-language content-length content-location
content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match
if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range
referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get
status
"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
