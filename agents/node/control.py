"""steward.sock: what `panal` asks the steward, one JSON object a line.

{"do": "follow"}                      -> the stages so far and each new one, a line each, until the cluster is usable
{"do": "status"}                      -> one line: the processes, the stages
{"do": "report", "stage": .., ...}    -> from the bring-up process: a stage has passed
{"do": "restart", "component": NAME}  -> {"ok": whether there is one}; it ends and is started again
{"do": "down"}                        -> {"ok": true}; then the cluster ends
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

LINE_LIMIT = 1 << 16
API_ANSWERS = "API server answers"
"""The stage from which on the API can be used, and `panal up` merges the context into the user's kubeconfig."""


class Progress:
    """The stages a cluster's start has passed, for whoever follows."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._changed = asyncio.Condition()
        self.events: list[dict[str, Any]] = []
        self.over = False
        """The cluster is usable, or has failed: no stage follows."""

    async def add(self, stage: str, detail: str = "", *, last: bool = False, failed: bool = False) -> None:
        event = {"stage": stage, "detail": detail, "seconds": round(self._now(), 3)}
        if any(earlier["stage"] == stage for earlier in self.events):
            return
        async with self._changed:
            self.events.append({**event, **({"last": True} if last else {}), **({"failed": True} if failed else {})})
            self.over = self.over or last or failed
            self._changed.notify_all()

    async def reached(self, stage: str) -> None:
        """Wait until this stage has passed."""
        async with self._changed:
            await self._changed.wait_for(lambda: any(event["stage"] == stage for event in self.events))

    async def finished(self) -> None:
        """Wait until no stage follows."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.over)

    async def after(self, count: int) -> list[dict[str, Any]]:
        """The events from number `count` on, as soon as there are any; none when it is over."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.events) > count or self.over)
            return self.events[count:]


class Control:
    """The server's side."""

    def __init__(
        self,
        progress: Progress,
        status: Callable[[], Mapping[str, Any]],
        down: Callable[[], None],
        restart: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._progress = progress
        self._status = status
        self._down = down
        self._restart = restart

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        return await asyncio.start_unix_server(self._client, sock=listener, limit=LINE_LIMIT)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._answer(json.loads(line), writer)
        except (ValueError, KeyError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, request: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        match request:
            case {"do": "follow"}:
                await self._follow(writer)
            case {"do": "status"}:
                await _send(writer, self._status())
            case {"do": "report", "stage": str(stage)}:
                await self._progress.add(stage, str(request.get("detail", "")), last=request.get("last") is True)
                await _send(writer, {"ok": True})
            case {"do": "restart", "component": str(component)} if self._restart is not None:
                await _send(writer, {"ok": await self._restart(component)})
            case {"do": "down"}:
                await _send(writer, {"ok": True})
                self._down()
            case _:
                await _send(writer, {"error": "no such request"})

    async def _follow(self, writer: asyncio.StreamWriter) -> None:
        count = 0
        while events := await self._progress.after(count):
            for event in events:
                await _send(writer, event)
            count += len(events)


async def _send(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()
