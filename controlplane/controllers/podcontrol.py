"""Creating and deleting pods for an owner: in parallel, slowly at first, with the events that tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from panal.client import Client, Unreachable
from panal.errors import NotFound, StatusError
from panal.events import Recorder
from panal.resources import PODS

from .meta import Object, name, namespace, uid
from .pods import batches

Failure = StatusError | Unreachable


class PodControl:
    """`on_failure` callbacks let the caller take back the expectation of what will not come."""

    def __init__(self, client: Client, events: Recorder) -> None:
        self._client = client
        self._events = events

    async def create(self, owner: Object, pods: Sequence[Object]) -> tuple[int, Failure | None]:
        """How many were created, and why the rest was not. Batches double, so that a refusal costs few requests."""
        made, start = 0, 0
        for size in batches(len(pods)):
            results = await _together([self._maker(owner, pod) for pod in pods[start : start + size]])
            start += size
            made += sum(result is None for result in results)
            if failure := next((result for result in results if result is not None), None):
                return made, failure
        return made, None

    async def delete(self, owner: Object, pods: Sequence[Object]) -> tuple[list[Object], Failure | None]:
        """Those whose end nobody will see: deleted they could not be, or gone they were, before; and why the former."""
        results = await _together([self._remover(owner, pod) for pod in pods])
        unseen = [pod for pod, result in zip(pods, results, strict=True) if result is not None]
        return unseen, next((each for each in results if each is not None and not isinstance(each, NotFound)), None)

    def _maker(self, owner: Object, pod: Object) -> Callable[[], Awaitable[None]]:
        async def make() -> None:
            try:
                made = await self._client.create(PODS, pod, namespace(owner))
            except StatusError as error:
                if not is_terminating(error):
                    self._events.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
                raise
            self._events.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name(made)}")

        return make

    def _remover(self, owner: Object, pod: Object) -> Callable[[], Awaitable[None]]:
        async def remove() -> None:
            try:
                await self._client.delete(PODS, name(pod), namespace(pod), uid=uid(pod))
            except NotFound:
                raise
            except StatusError as error:
                self._events.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
                raise
            self._events.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name(pod)}")

        return remove


def is_terminating(error: StatusError) -> bool:
    """The namespace is being deleted: nothing can be created there any more, and that is no failure."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


async def _together(work: Sequence[Callable[[], Awaitable[None]]]) -> list[Failure | None]:
    async def one(act: Callable[[], Awaitable[None]]) -> Failure | None:
        try:
            await act()
        except (StatusError, Unreachable) as error:
            return error
        return None

    return list(await asyncio.gather(*(one(act) for act in work)))
