"""The `continue` token of lists: the list's revision and the last key that was sent, as Kubernetes encodes it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import orjson

from panal.errors import BadRequest

from . import gojson

_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Position:
    """`last` is NAMESPACE/NAME, or NAME, of the last item sent; `revision` that of the list, -1 for the newest."""

    revision: int
    last: str


def encode(position: Position) -> str:
    payload = orjson.dumps({"v": "meta.k8s.io/v1", "rv": position.revision, "start": position.last + "\0"})
    return base64.urlsafe_b64encode(payload).rstrip(b"=").decode()


def decode(token: str) -> Position:
    """Raises BadRequest, in Kubernetes' words, for what `encode` did not make."""
    if (broken := _not_base64(token)) is not None:
        raise _invalid(f"illegal base64 data at input byte {broken}")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _invalid(gojson.complaint(raw)) from None
    if not isinstance(payload, dict):
        raise _invalid(f"json: cannot unmarshal {gojson.kind(payload)} into Go value of type storage.continueToken")
    version, revision, start = payload.get("v", ""), payload.get("rv", 0), payload.get("start", "")
    if version != "meta.k8s.io/v1":
        raise _invalid(f'server does not recognize this encoded version "{version}"')
    if not isinstance(revision, int) or revision == 0:
        raise _invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not isinstance(start, str) or not start:
        raise _invalid("encoded start key empty (version meta.k8s.io/v1)")
    if ".." in start.rstrip("\0").split("/"):
        raise _invalid(f"{start!r}")
    return Position(revision, start.removesuffix("\0"))


def _not_base64(token: str) -> int | None:
    """The first byte that is none of unpadded URL-safe base64's; None where there is none."""
    if (found := _FOREIGN.search(token)) is not None:
        return found.start()
    return len(token) - 1 if len(token) % 4 == 1 else None


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: {why}")
