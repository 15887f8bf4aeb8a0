"""`nettest`: tells its peers of itself, and who has told it: /read the state, /status one word, /write to be told."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from panal.addresses import real_port
from panal.tasks import spawn

from .flags import number, parse
from .servers import serve, until_told

_FLAGS = {"port": "8080", "peers": "8", "service": "nettest", "namespace": "default", "delay-shutdown": "0"}
_LINES = 500
_NAMES = 10_000
"""How many hosts are remembered."""
_ROUNDS = 15
_BETWEEN = 5.0
_PATIENCE = 300.0
_ANSWER_SECONDS = 10.0


def main(argv: list[str]) -> int:
    values, _ = parse(argv, _FLAGS)
    state = State(socket.gethostname(), number(values, "peers"), values["namespace"], values["service"])
    return asyncio.run(_serve(state, number(values, "port"), number(values, "delay-shutdown")))


@dataclass
class State:
    """What /read shows."""

    hostname: str
    peers: int
    namespace: str
    service: str
    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    contacting: bool = True

    def say(self, line: str) -> None:
        self.log = [*self.log, line][-_LINES:]

    def count(self, counted: dict[str, int], name: str) -> None:
        if name in counted or len(counted) < _NAMES:
            counted[name] = counted.get(name, 0) + 1

    def word(self) -> str:
        if len(self.sent) >= self.peers and len(self.received) >= self.peers:
            return "pass"
        return "running" if self.contacting else "fail"

    def shown(self) -> dict[str, Any]:
        return {
            "Hostname": self.hostname,
            "Sent": self.sent or None,
            "Received": self.received or None,
            "Errors": self.errors or None,
            "Log": self.log or None,
            "StillContactingPeers": self.contacting,
        }


async def _serve(state: State, port: int, delay: int) -> int:
    async def read(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(state.shown(), indent="\t"))

    async def status(request: web.Request) -> web.Response:
        return web.Response(text=state.word())

    async def end(request: web.Request) -> web.Response:
        os._exit(0)

    async def write(request: web.Request) -> web.Response:
        try:
            source = str(json.loads(await request.text()).get("Source", ""))
        except (ValueError, AttributeError) as error:
            state.errors = [*state.errors, str(error)][-_LINES:]
            source = ""
        if source:
            state.count(state.received, source)
        else:
            state.errors = [*state.errors, f"{state.hostname}: Got request with no source"][-_LINES:]
        return web.json_response({"Hostname": state.hostname})

    pages = {"read": read, "status": status, "quit": end, "write": write}
    await serve([web.route("*", f"/{name}", page) for name, page in pages.items()], port)
    contacting = spawn(_contact(state), name="peers")
    await until_told()
    await asyncio.sleep(delay)
    contacting.cancel()
    return 0


async def _contact(state: State) -> None:
    """Wait for so many peers, then tell all of them of us, several times: some appear late."""
    from panal.client import Client

    began = time.monotonic()
    try:
        async with Client.in_cluster(os.environ, user_agent="nettest") as client, _session() as session:
            while time.monotonic() - began < _PATIENCE:
                found = await _endpoints(client, state)
                if len(found) >= state.peers:
                    break
                state.say(
                    f"{state.namespace}/{state.service} has {len(found)} endpoints ({sorted(found)}), which is less "
                    f"than {state.peers} as expected. Waiting for all endpoints to come up."
                )
                await asyncio.sleep(_BETWEEN)
            for _ in range(_ROUNDS):
                for place in await _endpoints(client, state):
                    state.say(f"Attempting to contact {place}")
                    await _tell(session, place, state)
                await asyncio.sleep(_BETWEEN)
    except (OSError, ValueError) as error:
        state.say(f"Unable to contact Kubernetes: {error}")
    finally:
        state.contacting = False


def _session() -> ClientSession:
    return ClientSession(timeout=ClientTimeout(_ANSWER_SECONDS))


async def _endpoints(client: Any, state: State) -> set[str]:
    from panal.client import Unreachable
    from panal.errors import StatusError
    from panal.resources import resource

    try:
        found = await client.get(resource("endpoints"), state.service, state.namespace)
    except (StatusError, Unreachable) as error:
        state.say(f"Unable to read the endpoints for {state.namespace}/{state.service}: {error}.")
        return set()
    return {
        f"http://{address['ip']}:{real_port(port['port'])}"
        for subset in found.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    }


async def _tell(session: ClientSession, place: str, state: State) -> None:
    try:
        async with session.post(f"{place}/write", json={"Dest": place, "Source": state.hostname}) as answer:
            state.count(state.sent, str(json.loads(await answer.text())["Hostname"]))
    except (OSError, ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        state.say(f'Warning: unable to contact the endpoint "{place}": {error}')
