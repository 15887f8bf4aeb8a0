"""The `continue` token of lists: the list's revision and the last key that was sent, as Kubernetes encodes it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import orjson

from panal.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Position:
    """`last` is NAMESPACE/NAME, or NAME, of the last item sent; `revision` that of the list."""

    revision: int
    last: str


def encode(position: Position) -> str:
    payload = orjson.dumps({"v": "meta.k8s.io/v1", "rv": position.revision, "start": position.last + "\0"})
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode(token: str) -> Position:
    """Raises BadRequest for what `encode` did not make."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        payload = orjson.loads(raw)
    except (binascii.Error, ValueError):
        raise _invalid("is not one of this server's") from None
    if not isinstance(payload, dict) or payload.get("v") != "meta.k8s.io/v1":
        raise _invalid("does not have a known version")
    revision, start = payload.get("rv"), payload.get("start")
    if not isinstance(revision, int) or revision < 0 or not isinstance(start, str) or not start.endswith("\0"):
        raise _invalid("is incomplete")
    return Position(revision, start[:-1])


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: it {why}")
