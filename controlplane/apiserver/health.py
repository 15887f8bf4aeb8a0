"""/healthz, /livez and /readyz: named checks, each of which can be asked alone or left out, with Kubernetes' words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from .answers import Answer, text
from .context import Parts
from .request import Query

_log = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Seconds the store may take, as --etcd-healthcheck-timeout."""

Check = Callable[[Parts], Awaitable[None]]
"""Raises when something is wrong."""


async def _nothing(parts: Parts) -> None:
    """Whoever answers is well in this respect."""


async def _store(parts: Parts) -> None:
    async with asyncio.timeout(_PATIENCE):
        await parts.reader.probe()


_LIVE: dict[str, Check] = {
    "ping": _nothing,
    "log": _nothing,
    "etcd": _store,
    "poststarthook/rbac/bootstrap-roles": _nothing,
    "poststarthook/scheduling/bootstrap-system-priority-classes": _nothing,
}
_READY: dict[str, Check] = {**_LIVE, "etcd-readiness": _store, "informer-sync": _nothing, "shutdown": _nothing}
"""The server listens only once its cache is filled and what it brings along is there."""

CHECKS: dict[str, dict[str, Check]] = {"healthz": _LIVE, "livez": _LIVE, "readyz": _READY}


async def serve(parts: Parts, path: str, query: Query) -> Answer | None:
    """The answer for `healthz`, `livez/etcd`, ...; None for a check that nobody knows."""
    name, _, single = path.partition("/")
    checks = CHECKS.get(name)
    if checks is None:
        return None
    if not single:
        return await _all(parts, name, checks, query)
    if (check := checks.get(single)) is None:
        return None
    why = await _wrong(parts, single, check)
    return text("ok") if why is None else text(f"internal server error: {why}\n", 500)


async def _all(parts: Parts, name: str, checks: dict[str, Check], query: Query) -> Answer:
    excluded = {value for key, value in parse_qsl(query.text) if key == "exclude"}
    lines, failed = [], False
    for each, check in checks.items():
        if each in excluded:
            excluded.discard(each)
            lines.append(f"[+]{each} excluded: ok\n")
        elif await _wrong(parts, each, check) is None:
            lines.append(f"[+]{each} ok\n")
        else:
            failed = True
            lines.append(f"[-]{each} failed: reason withheld\n")
    if excluded:
        unknown = ", ".join(f'"{each}"' for each in sorted(excluded))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {unknown}\n")
    if failed:
        return text(f"{''.join(lines)}{name} check failed\n", 500)
    return text(f"{''.join(lines)}{name} check passed\n" if "verbose" in query else "ok")


async def _wrong(parts: Parts, name: str, check: Check) -> str | None:
    try:
        await check(parts)
    except Exception as error:
        _log.warning("the check %s failed: %r", name, error)
        return str(error) or type(error).__name__
    return None
