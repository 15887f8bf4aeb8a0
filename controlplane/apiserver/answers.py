"""Answers as bytes: objects, Status errors, text; YAML, protobuf and gzip where the client wants them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from panal.errors import StatusError

from .negotiation import JSON, PROTOBUF, YAML

GZIP_FROM = 128 * 1024
"""Bytes from which compressing pays, as in Kubernetes."""


@dataclass(frozen=True)
class Answer:
    """A whole answer. `warnings` become Warning headers (RFC 7234, 5.5)."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def json(obj: Any, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(orjson.dumps(obj), status, content_type)


def text(body: str, status: int = 200) -> Answer:
    return Answer(body.encode(), status, "text/plain; charset=utf-8", {"X-Content-Type-Options": "nosniff"})


def failure(error: StatusError) -> Answer:
    """The Status object of an error."""
    headers = {}
    if error.details and error.details.get("retryAfterSeconds"):
        headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    return Answer(orjson.dumps(error.status()), error.code, headers=headers)


async def response(
    answer: Answer, *, media: str, gzip_accepted: bool, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The HTTP response. An object in JSON is turned into YAML or protobuf if the client asked for that.

    `headers` are those of the request's flow.
    """
    body, content_type = answer.body, answer.content_type
    if media != JSON and body and content_type.partition(";")[0] == JSON:
        if len(body) < GZIP_FROM:
            body, content_type = _in_media(body, content_type, media)
        else:  # long lists take a while: other requests go on meanwhile
            body, content_type = await asyncio.to_thread(_in_media, body, content_type, media)
    headers = {
        "Content-Type": content_type, "Cache-Control": "no-cache, private", **(headers or {}), **answer.headers,
    }  # fmt: skip
    if gzip_accepted and len(body) >= GZIP_FROM and "Content-Encoding" not in headers:
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
        headers["Vary"] = "Accept-Encoding"
    made = web.Response(body=body, status=answer.status, headers=headers)
    for warning in dict.fromkeys(answer.warnings):
        made.headers.add("Warning", f'299 - "{_quote(warning)}"')
    return made


def _in_media(body: bytes, content_type: str, media: str) -> tuple[bytes, str]:
    if media == YAML:
        return _yaml(body), content_type.replace(JSON, YAML, 1)
    if media == PROTOBUF:
        from . import protobuf

        obj = orjson.loads(body)
        if isinstance(obj, dict) and protobuf.known(str(obj.get("apiVersion", "")), str(obj.get("kind", ""))):
            with suppress(protobuf.Unencodable):
                return protobuf.encode(obj), content_type.replace(JSON, PROTOBUF, 1)
    return body, content_type


def _yaml(body: bytes) -> bytes:
    import yaml

    return yaml.safe_dump(orjson.loads(body), sort_keys=False, allow_unicode=True).encode()


def _quote(warning: str) -> str:
    visible = "".join(char if char.isprintable() else " " for char in warning)
    return visible.replace("\\", "\\\\").replace('"', '\\"')[:4096]
