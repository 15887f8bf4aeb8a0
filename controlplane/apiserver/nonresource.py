"""Paths that are no resources: health, version, token keys, OpenAPI."""

from __future__ import annotations

import asyncio
import hashlib

import orjson
from aiohttp import web

from . import discovery, health
from .answers import Answer, json
from .context import Parts
from .request import Query, Target


async def serve(parts: Parts, request: web.BaseRequest, target: Target, query: Query) -> Answer | None:
    """The answer, None for a path nobody knows."""
    path = target.path.rstrip("/") or "/"
    if request.method not in ("GET", "HEAD"):
        return None
    if path.startswith(("/healthz", "/livez", "/readyz")):
        return await health.serve(parts, path[1:], query)
    if path == "/version":
        return json(discovery.VERSION)
    if path == "/openid/v1/jwks":
        return json(parts.keys.key_set(), content_type="application/jwk-set+json")
    if path == "/.well-known/openid-configuration":
        return json(_configuration(parts))
    if path.startswith("/openapi/"):
        return await _openapi(parts, path, query, request)
    if path == "/":
        return json({"paths": _paths()})
    return None


def _paths() -> list[str]:
    """What `kubectl get --raw /` shows."""
    checks = [
        f"/{name}{rest}" for name, known in health.CHECKS.items() for rest in ("", *(f"/{each}" for each in known))
    ]
    others = [
        "/.well-known/openid-configuration",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/version",
    ]
    return sorted([*others, *checks, *discovery.paths()])


async def _openapi(parts: Parts, path: str, query: Query, request: web.BaseRequest) -> Answer | None:
    """Documents of some megabytes: made beside the event loop, and kept by clients that know their hash."""
    from . import openapi
    from .protobuf import openapi as swagger

    if path == "/openapi/v3":
        index = await asyncio.to_thread(openapi.index)
        if len(parts.custom):
            from .custom import openapi as custom

            index = {"paths": {**index["paths"], **custom.paths(parts.custom)}}
        return _kept(orjson.dumps(index), query, request)
    content_type = "application/json"
    try:
        if path != "/openapi/v2":
            document = path.removeprefix("/openapi/v3/")
            if len(parts.custom) and document not in openapi.group_versions():
                from .custom import openapi as custom

                body = custom.document(parts.custom, document)
            else:
                body = await asyncio.to_thread(lambda: openapi.v3(document))
        elif len(parts.custom):
            packed = swagger.accepted(request.headers.get("Accept", ""))
            body, content_type = await _v2(parts, packed), swagger.MEDIA if packed else content_type
        elif swagger.accepted(request.headers.get("Accept", "")):
            body, content_type = await asyncio.to_thread(openapi.v2_protobuf), swagger.MEDIA
        else:
            body = await asyncio.to_thread(openapi.v2)
    except KeyError:
        return None
    return _kept(body, query, request, content_type)


async def _v2(parts: Parts, packed: bool) -> bytes:
    """With the custom kinds; kept until a definition changes."""
    from .custom import swagger
    from .protobuf import openapi as encoding

    resources = parts.custom.all()
    key = ("openapi/v2", packed, resources)
    if key not in parts.custom.memo:

        def make() -> bytes:
            document = swagger.document(resources)
            return encoding.encode(document) if packed else orjson.dumps(document, option=orjson.OPT_SORT_KEYS)

        parts.custom.memo[key] = await asyncio.to_thread(make)
    body: bytes = parts.custom.memo[key]
    return body


def _kept(body: bytes, query: Query, request: web.BaseRequest, content_type: str = "application/json") -> Answer:
    """A document with its hash; without the document for a client that names this hash."""
    tag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if query.get("hash"):
        headers["Cache-Control"] = "public, immutable"
    if request.headers.get("If-None-Match", "") == tag:
        return Answer(b"", 304, content_type=content_type, headers=headers)
    return Answer(body, content_type=content_type, headers=headers)


def _configuration(parts: Parts) -> dict[str, object]:
    """OpenID Connect Discovery 1.0, as far as service account tokens need it."""
    issuer = parts.keys.issuer
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [parts.keys.algorithm],
    }
