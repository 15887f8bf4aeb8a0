"""Between a route and its backend: what annotations ask to be looked at first; `guards` and `canaries` decide it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from panal.tasks import spawn

from . import canaries, guards
from .routes import Address, Route

if TYPE_CHECKING:
    from .downstream import Downstream
    from .exchange import Exchange


def may_pass(client: Downstream, exchange: Exchange, route: Route, plain: str) -> bool:
    """False where the request has been answered, forwarded, or waits."""
    request, options = exchange.request, route.options
    address = guards.client_address(request, client.client[0], trust_forwarded=client.proxy.trust_forwarded)
    if (verdict := guards.judge(request, options, address, client.peer.scheme)) is not None:
        exchange.answer(verdict.status, added=verdict.headers)
        return False
    if options.enable_cors and (allowed := guards.cors(request, options)):
        exchange.added, exchange.replaced = allowed, guards.CORS_HEADERS
    if options.body_size and isinstance(request.framing, int) and request.framing > options.body_size:
        exchange.answer(413)
        return False
    if route.users is not None and not _is_user(client, exchange, route, plain):
        return False
    return _stays(client, exchange, route, plain)


def _is_user(client: Downstream, exchange: Exchange, route: Route, plain: str) -> bool:
    """False also where the password has to be looked at first: the request goes on by itself then."""
    users, said = route.users, guards.credentials(exchange.request)
    assert users is not None
    if not users.usable:
        exchange.answer(503)
        return False
    outcome = client.proxy.passwords.known(users, *said) if said is not None else False
    if outcome is None and said is not None:
        client.wait(client.proxy.timeouts.body)
        spawn(_look_at(client, exchange, route, plain, *said), name="look at a password")
    elif not outcome:
        exchange.answer(401, added=guards.challenge(users.realm).headers)
    return bool(outcome)


async def _look_at(
    client: Downstream, exchange: Exchange, route: Route, plain: str, user: str, password: bytes
) -> None:
    assert route.users is not None
    good = await client.proxy.passwords.check(route.users, user, password)
    if exchange.over:
        return
    if not good:
        exchange.answer(401, added=guards.challenge(route.users.realm).headers)
    elif _stays(client, exchange, route, plain):
        client.forward(exchange, route, plain, client.proxy.turn(route.backend))


def _stays(client: Downstream, exchange: Exchange, route: Route, plain: str) -> bool:
    """Session and canary. False where the request has been forwarded."""
    request, options, canary, proxy = exchange.request, route.options, route.canary, client.proxy
    if options.affinity and (found := canaries.session(request, options, route.backend)) is not None:
        exchange.session = found
        client.forward(exchange, route, plain, _first(found, proxy.turn(route.backend)))
        return False
    if route.split:
        backend = proxy.by_weight(route)
        if backend is not route.backend:
            client.forward(exchange, replace(route, backend=backend), plain, proxy.turn(backend))
            return False
    if canary is None:
        return True
    sticky = bool(options.affinity) and options.affinity_canary_behavior == "sticky"
    found = canaries.session(request, options, canary.backend) if sticky else None
    if found is None and not canaries.to_canary(request, canary.options, proxy.draw()):
        return True
    exchange.session = found
    endpoints = proxy.turn(canary.backend)
    client.forward(exchange, replace(route, backend=canary.backend), plain, _first(found, endpoints))
    return False


def _first(found: Address | None, endpoints: list[Address]) -> list[Address]:
    return endpoints if found is None else [found, *(address for address in endpoints if address != found)]
