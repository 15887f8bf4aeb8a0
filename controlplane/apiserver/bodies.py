"""Request bodies: bounded, and decoded from JSON, YAML or protobuf with Kubernetes' words for what cannot be."""

from __future__ import annotations

import re
from typing import Any

import orjson
from aiohttp import web

from panal import resources
from panal.errors import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from . import gojson

LIMIT = 3 * 1024 * 1024
"""Bytes of a body at most, as in Kubernetes."""

_DEPTH = 500
"""Brackets one inside the other at most; orjson stops a little above it, PyYAML would recurse."""

MEDIA = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


async def read(request: web.BaseRequest) -> bytes:
    """The whole body. Raises RequestEntityTooLarge."""
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > LIMIT:
        raise too_large()
    if not request.body_exists:
        return b""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > LIMIT:
            raise too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {LIMIT}")


def media_type(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def decode(body: bytes, media: str, kind: str, api_version: str = "") -> dict[str, Any]:
    """The object in a body. Raises BadRequest and UnsupportedMediaType."""
    if media == "application/vnd.kubernetes.protobuf":
        return decode_protobuf(body, kind, api_version)
    if media in ("", "application/json"):
        return decode_json(body, kind)
    if media in ("application/yaml", "application/x-yaml", "text/yaml"):
        return decode_yaml(body, kind)
    raise unsupported(MEDIA)


def unsupported(accepted: str) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


def decode_json(body: bytes, kind: str) -> dict[str, Any]:
    try:
        obj = orjson.loads(body)
    except orjson.JSONDecodeError:
        why = f"couldn't get version/kind; json parse error: {gojson.complaint(body)}"
        raise _unrecognized(kind, why, body) from None
    if not isinstance(obj, dict):
        what = gojson.kind(obj)
        raise _unrecognized(
            kind,
            "couldn't get version/kind; json parse error: json: cannot unmarshal "
            f"{what} into Go value of type struct {{ APIVersion string; Kind string }}",
            body,
        )
    return obj


def decode_protobuf(body: bytes, kind: str, api_version: str) -> dict[str, Any]:
    """An enveloped object; of a kind without a protobuf form, as built-in kinds alone have it, UnsupportedMediaType."""
    from . import protobuf

    try:
        return protobuf.decode(body, api_version, kind)
    except protobuf.NoKind as error:
        if resources.by_kind(error.api_version, error.kind) is not None:
            raise unsupported("application/json, application/yaml") from None
        why: Exception = error
    except protobuf.Malformed as error:
        why = error
    named_version, named_kind = protobuf.named(body)
    if named_kind and not isinstance(why, protobuf.NoKind):
        version = named_version.rpartition("/")[2]
        raise BadRequest(f'{named_kind} in version "{version}" cannot be handled as a {kind}: {why}')
    summary = f"0x{body[:30].hex()}{' ...' if len(body) > 30 else ''}" if body else "<empty>"
    raise BadRequest(f"the object provided is unrecognized (must be of type {kind}): {why} ({summary})")


def decode_yaml(body: bytes, kind: str) -> dict[str, Any]:
    """YAML 1.1 as the API reads it: dates stay text, keys are strings."""
    obj = load_yaml(body, kind)
    if not isinstance(obj, dict):
        raise _unrecognized(kind, "couldn't get version/kind; json parse error: not an object", body)
    return obj


def load_yaml(body: bytes, kind: str) -> Any:
    """Raises BadRequest for what is no YAML, or too deep or too much of it."""
    import yaml

    if re.search(rb"[\[{]{%d}" % _DEPTH, body) or body.count(b"*") > 1000:
        raise BadRequest("the YAML document is too deep")
    try:
        return plain(yaml.load(body, _loader()))
    except yaml.YAMLError as error:
        raise _unrecognized(
            kind, f"yaml: {_yaml_line(error)}{getattr(error, 'problem', None) or error}", body
        ) from None
    except (ValueError, RecursionError) as error:
        raise _unrecognized(kind, f"yaml: {error}", body) from None


def _yaml_line(error: Exception) -> str:
    """The line as go-yaml counts: the context's if it has one, from 0 for the parser, from 1 for the scanner."""
    marks = (getattr(error, name, None) for name in ("context_mark", "problem_mark"))
    line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
    if not line:
        return ""
    return f"line {line + 1 if type(error).__name__ == 'ScannerError' else line}: "


def plain(value: Any, budget: list[int] | None = None) -> Any:
    """YAML's values as JSON's; bounded, because aliases can make a small text huge."""
    budget = [200_000] if budget is None else budget
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError("too many values")
    if isinstance(value, dict):
        return {_key(key): plain(item, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, budget) for item in value]
    return value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else str(key)


def _loader() -> Any:
    import yaml

    global _cached_loader
    if _cached_loader is None:
        base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        resolvers = {
            first: [(tag, regexp) for tag, regexp in entries if tag != "tag:yaml.org,2002:timestamp"]
            for first, entries in base.yaml_implicit_resolvers.items()
        }
        _cached_loader = type("Loader", (base,), {"yaml_implicit_resolvers": resolvers})
    return _cached_loader


_cached_loader: Any = None


def _unrecognized(kind: str, why: str, body: bytes) -> BadRequest:
    """Kubernetes shows the body's beginning: JSON as text, anything else in hexadecimal."""
    start = body[:1024]
    shown = start.decode("utf-8", "replace") if why.startswith("couldn't") else start.hex()
    return BadRequest(f"the object provided is unrecognized (must be of type {kind}): {why} ({shown})")
