"""What the ingress tells of traced requests, and of no others."""

from __future__ import annotations

from typing import Any

import aiohttp

from panal.proxy.ingress import traces
from panal.proxy.ingress.admin import admin_server

from ...ports import free_port
from .conftest import OK, Ingress, backend, saying


def request(identity: str, *, last: bool = True) -> bytes:
    close = "Connection: close\r\n" if last else ""
    return f"GET /x HTTP/1.1\r\nHost: a.com\r\nX-Request-ID: {identity}\r\n{close}\r\n".encode()


async def told(ingress: Ingress, identity: str) -> Any:
    async with (
        admin_server("127.0.0.1", 0, ingress.proxy, lambda: True) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/trace/{identity}") as response,
    ):
        return await response.json() if response.status == 200 else None


async def test_a_traced_request_is_told_to_who_knows_its_id(ingress: Ingress) -> None:
    async with backend(saying(OK)) as address:
        ingress.route(address)
        await ingress.say(request("panal-trace-1", last=False) + request("panal-trace-2"))
        first, second = await told(ingress, "panal-trace-1"), await told(ingress, "panal-trace-2")
    assert first["rule"]["ingress"] == "default/web"
    assert first["rule"]["candidates"] == [first["target"]] == [f"127.0.0.1:{address[1]}"]
    assert (first["status"], first["upstreamStatus"], first["refused"]) == (200, 200, [])
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["source"] == second["source"], "the kept connection has the same end"
    assert first["client"] == second["client"]
    assert first["opened"] <= first["connected"] <= first["closed"]


async def test_other_requests_are_told_to_nobody(ingress: Ingress) -> None:
    async with backend(saying(OK)) as address:
        ingress.route(address)
        await ingress.say(request("somebody"))
    assert await told(ingress, "somebody") is None


async def test_an_endpoint_that_refuses_is_told_with_the_reason(ingress: Ingress) -> None:
    dead = "127.0.0.1", free_port()
    ingress.route(dead)
    assert b" 502 " in await ingress.say(request("panal-trace-3"))
    found = await told(ingress, "panal-trace-3")
    assert (found["status"], found["upstreamStatus"]) == (502, None)
    assert [item["target"] for item in found["refused"]] == [f"127.0.0.1:{dead[1]}"]
    assert "refused" in found["refused"][0]["why"]


async def test_the_oldest_is_forgotten(ingress: Ingress) -> None:
    for number in range(traces.KEPT + 1):
        await ingress.say(request(f"panal-trace-{number}"))
    assert ingress.proxy.traces.get("panal-trace-0") is None
    assert ingress.proxy.traces.get("panal-trace-1") is not None
