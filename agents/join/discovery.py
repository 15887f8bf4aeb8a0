"""Who answers at an address: its `cluster-info`, which anybody may read and only a token's holder can check."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import orjson

from panal import bootstraptoken
from panal.bootstraptoken import CLUSTER_INFO, PUBLIC, Untrusted

from .refused import Refused

PORT = 6443
LIMIT = 1 << 20
SECONDS = 10.0
NEW_TOKEN = "make a new one there with `panal token create`"


def endpoint(address: str) -> str:
    """HOST:PORT of what the user wrote. Raises Refused."""
    host, _, port = address.removeprefix("https://").rstrip("/").partition(":")
    if not host or any(letter in host for letter in "/@[] ") or (port and not (port.isdecimal() and int(port) < 65536)):
        raise Refused(f"{address!r} is no address of a cluster; write ADDRESS or ADDRESS:PORT, as the join line says.")
    return f"{host}:{port or PORT}"


async def authority(where: str, token: str, pin: str | None) -> bytes:
    """The CA (PEM) of the cluster at this endpoint, checked against token and pin. Raises Refused."""
    info = await _fetch(where)
    try:
        return bootstraptoken.trusted_authority(info, token, pin)
    except Untrusted as error:
        raise Refused(
            f"what answers at {where} is not the cluster you mean, or the token has ended: {error}; compare with "
            f"`panal token list` over there, or {NEW_TOKEN}."
        ) from None


async def _fetch(where: str) -> dict[str, Any]:
    """Without knowing who it is: what comes is checked afterwards."""
    from panal.http1 import Pool

    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    pool = Pool(f"https://{where}", anybody, {"User-Agent": "panal-join"})
    path = f"/api/v1/namespaces/{PUBLIC}/configmaps/{CLUSTER_INFO}"
    try:
        async with asyncio.timeout(SECONDS), pool.request("GET", path, headers={}) as answer:
            body, code = await answer.read(LIMIT), answer.status
    except (OSError, TimeoutError, ValueError) as error:
        raise Refused(
            f"no cluster answers at {where} ({error or 'silence'}); see that it was started with `panal up --listen`, "
            "that this is its address and port, and that no firewall is between."
        ) from error
    finally:
        await pool.close()
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if code in (401, 403, 404):
        raise Refused(f"the cluster at {where} has no token that machines could join with; {NEW_TOKEN}.")
    if code != 200 or not isinstance(document, dict):
        raise Refused(f"what answers at {where} is no Kubernetes API server (it answered {code}); check the address.")
    return document
