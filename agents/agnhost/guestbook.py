"""`guestbook`: a primary that keeps keys and values, replicas that follow it, and a front page that asks both."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from panal.addresses import real_port

from .flags import number, parse
from .servers import serve, until_told

_REGISTER_WITHIN = 15.0
"""How long a replica looks for its primary before it gives up, in seconds."""
_AGAIN = 1.0
_MANY = 1000
"""How many replicas, and how many keys, are remembered."""


def main(argv: list[str]) -> int:
    values, _ = parse(argv, {"http-port": "80", "backend-port": "6379", "replicaof": ""})
    return asyncio.run(Guestbook(number(values, "backend-port")).run(number(values, "http-port"), values["replicaof"]))


class Guestbook:
    def __init__(self, backend: int) -> None:
        self._backend = backend
        self._store: dict[str, Any] = {}
        self._replicas: list[str] = []

    async def run(self, port: int, primary: str) -> int:
        pages = {"register": self._register, "get": self._get, "set": self._set, "guestbook": self._front}
        await serve([web.get(f"/{name}", page) for name, page in pages.items()], port)
        if primary and not await self._follow(primary):
            sys.stderr.write("Timed out while registering to primary.\n")
            return 1
        await until_told()
        return 0

    async def _follow(self, primary: str) -> bool:
        ends = time.monotonic() + _REGISTER_WITHIN
        while time.monotonic() < ends:
            try:
                own = _own_address(primary, self._backend)
                self._store = dict(json.loads(await self._dial(primary, "register", {"host": own}))["data"])
                sys.stderr.write(f"Registered to node: {primary}\n")
                return True
            except (OSError, ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                sys.stderr.write(f"encountered error while registering to primary: {error}. Retrying in 1s.\n")
                await asyncio.sleep(_AGAIN)
        return False

    async def _register(self, request: web.Request) -> web.Response:
        if len(self._replicas) < _MANY:
            self._replicas.append(request.query.get("host", ""))
        return web.Response(text=json.dumps({"data": self._store}))

    async def _get(self, request: web.Request) -> web.Response:
        key = request.query.get("key", "")
        return web.Response(text=_compact({"data": self._store.get(key, "") if key else self._store}))

    async def _set(self, request: web.Request) -> web.Response:
        key, value = request.query.get("key", ""), request.query.get("value", "")
        if not key or (key not in self._store and len(self._store) >= _MANY):
            return web.Response(status=400, text="cannot set with empty key.\n" if not key else "too many keys.\n")
        self._store[key] = value
        for replica in self._replicas:
            try:
                await self._dial(replica, "set", {"key": key, "value": value})
            except (OSError, ClientError, TimeoutError) as error:
                words = f"encountered error while propagating to replica '{replica}': {error}\n"
                return web.Response(status=417, text=words)
        return web.Response(text=_compact({"message": "Updated"}))

    async def _front(self, request: web.Request) -> web.Response:
        query = request.query
        command, key = query.get("cmd", "").lower(), query.get("key", "")
        if command not in ("get", "set"):
            return web.Response(status=400, text=f"unsupported cmd: '{command}'\n")
        if command == "set" and not key:
            return web.Response(status=400, text="cannot set with empty key.\n")
        host = "agnhost-replica" if command == "get" else "agnhost-primary"
        try:
            answer = await self._dial(host, command, {"key": key, "value": query.get("value", "")})
        except (OSError, ClientError, TimeoutError) as error:
            return web.Response(status=417, text=f"encountered error: {error}\n")
        return web.Response(text=answer)

    async def _dial(self, host: str, page: str, query: dict[str, str]) -> str:
        url = f"http://{host}:{real_port(self._backend)}/{page}"
        async with ClientSession(timeout=ClientTimeout(5)) as session, session.get(url, params=query) as answer:
            return await answer.text()


def _own_address(towards: str, port: int) -> str:
    """This pod's address, as the other side sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((towards, port))
        return str(sender.getsockname()[0])


def _compact(found: Any) -> str:
    return json.dumps(found, separators=(",", ":"))
