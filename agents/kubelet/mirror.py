"""Keeps a mirror pod in the API for every static pod, and none for what is no static pod any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from panal.client import Client, Unreachable
from panal.errors import AlreadyExists, Conflict, NotFound, StatusError
from panal.informer import Informer
from panal.resources import PODS
from panal.workqueue import WorkQueue

from . import podspec, static
from .podspec import Pod
from .registration import Registration

_log = logging.getLogger(__name__)

Key = tuple[str, str]


class Mirrors:
    """`static_pod` gives the static pod of a name, or None."""

    def __init__(
        self,
        client: Client,
        pods: Informer,
        registration: Registration,
        static_pod: Callable[[Key], Pod | None],
    ) -> None:
        self._client = client
        self._pods = pods
        self._registration = registration
        self._static_pod = static_pod
        self._queue: WorkQueue[Key] = WorkQueue()

    def look_at(self, key: Key) -> None:
        self._queue.add(key)

    async def run(self) -> None:
        await self._registration.registered.wait()
        await self._pods.synced()
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
                self._queue.forget(key)
            except (Unreachable, StatusError) as error:
                level = logging.DEBUG if isinstance(error, Unreachable) else logging.WARNING
                _log.log(level, "mirror pod %s/%s: %s", *key, error)
                self._queue.add_rate_limited(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: Key) -> None:
        pod, mirror = self._static_pod(key), self._pods.get(*key)
        if mirror is not None and not podspec.is_mirror(mirror):
            return
        if mirror is not None and (pod is None or not static.mirrors(pod, mirror)):
            await self._delete(mirror)
            return
        node: Mapping[str, Any] | None = self._registration.node
        if pod is not None and mirror is None and node is not None:
            try:
                await self._client.create(PODS, static.mirror_of(pod, node))
            except AlreadyExists:
                _log.debug("mirror pod %s/%s is there already", *key)

    async def _delete(self, mirror: Pod) -> None:
        """At once; the watch then tells that it is gone, and a new one is made if it is wanted."""
        try:
            await self._client.delete(
                PODS, podspec.name(mirror), podspec.namespace(mirror), grace_seconds=0, uid=podspec.uid(mirror)
            )
        except (NotFound, Conflict):
            return
