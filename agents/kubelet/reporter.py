"""Writes one pod's status to the API: the latest wish only, and only when the API's copy differs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from panal import tasks
from panal.client import Client, Unreachable
from panal.errors import Conflict, NotFound, StatusError
from panal.resources import PODS

from . import podspec
from .status import changes

_log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_MOST = 0.02, 1.0


class Reporter:
    """One pod's status. `api` is the API's newest known copy of the pod, None while it has none."""

    def __init__(self, client: Client, patience: Callable[[], float]) -> None:
        """`patience` is how long, in seconds, a status waits that tells only that the pod is starting."""
        self._client, self._patience = client, patience
        self.api: Mapping[str, Any] | None = None
        self._wish: dict[str, Any] | None = None
        self._refused: dict[str, Any] | None = None
        """A patch that the server took but keeps otherwise; sending it again would not end."""
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def see(self, pod: Mapping[str, Any] | None) -> None:
        """The API's copy, from a watch; one older than what is known is passed over."""
        if pod is None or self.api is None or podspec.uid(pod) != podspec.uid(self.api) or not _older(pod, self.api):
            self.api = pod
        self._go_on()

    def wish(self, status: dict[str, Any], *, urgent: bool) -> None:
        self._wish = status
        if urgent:
            self._hurry.set()
        self._go_on()

    async def settled(self) -> None:
        """Wait until the API has the wished status (or no pod)."""
        self._hurry.set()
        self._go_on()
        await self._settled.wait()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _patch(self) -> dict[str, Any] | None:
        if self._wish is None or self.api is None:
            return None
        patch = changes(self._wish, self.api.get("status") or {})
        return None if patch == self._refused else patch

    def _go_on(self) -> None:
        if self._task is None and self._patch() is not None:
            self._settled.clear()
            self._task = tasks.spawn(self._write(), name="pod status")

    async def _write(self) -> None:
        delay = _RETRY_FIRST
        try:
            await self._wait()
            self._hurry.clear()
            while (patch := self._patch()) is not None and self.api is not None:
                try:
                    await self._send(self.api, patch)
                    delay = _RETRY_FIRST
                except (NotFound, Conflict):
                    self.api = None
                except (Unreachable, StatusError) as error:
                    _log.log(logging.DEBUG if isinstance(error, Unreachable) else logging.WARNING, "status: %s", error)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, _RETRY_MOST)
        finally:
            self._task = None
            self._settled.set()

    async def _wait(self) -> None:
        """As long as patience lasts, which may have grown meanwhile, or until there is something urgent to tell."""
        waited = 0.0
        while (left := self._patience() - waited) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._hurry.wait()
                return
            except TimeoutError:
                waited += left

    async def _send(self, api: Mapping[str, Any], patch: dict[str, Any]) -> None:
        meta = api["metadata"]
        answer = await self._client.patch(
            PODS,
            meta["name"],
            {"metadata": {"uid": meta["uid"]}, "status": patch},
            meta["namespace"],
            kind="strategic",
            subresource="status",
        )
        self.see(answer)
        self._refused = patch if self._patch() == patch else None


def _older(pod: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether `pod` is an earlier version. Versions of this API server are numbers that grow."""
    try:
        return int(pod["metadata"]["resourceVersion"]) < int(known["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return False
