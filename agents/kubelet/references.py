"""The ConfigMaps and Secrets that pods of this node read, a watch an object while a pod needs it; and pods' tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from panal import tasks
from panal.client import Client
from panal.informer import Delta, Informer
from panal.resources import CONFIGMAPS, SECRETS, SERVICEACCOUNTS

from . import podspec
from .podspec import Pod, parse_time
from .volumes import TokenWish, object_data, referenced, token_wishes

Reference = tuple[str, str, str]
"""(configmap or secret, namespace, name)"""

RENEW_AT = 0.8
"""The part of its life after which a token is renewed, as upstream."""

_RESOURCES = {"configmap": CONFIGMAPS, "secret": SECRETS}


@dataclass
class _Watched:
    informer: Informer
    task: asyncio.Task[Any]
    users: set[str] = field(default_factory=set)


class References:
    """Objects by pod: `acquire` when a pod appears, `release` when it is gone."""

    def __init__(self, client: Client, changed: Callable[[str], None]) -> None:
        """`changed` is called with the uid of every pod that reads an object which changed."""
        self._client = client
        self._changed = changed
        self._watched: dict[Reference, _Watched] = {}

    def acquire(self, pod: Pod) -> None:
        uid, namespace = podspec.uid(pod), podspec.namespace(pod)
        for kind, name in referenced(pod):
            reference = (kind, namespace, name)
            if name and reference not in self._watched:
                self._watched[reference] = self._watch(reference)
            if name:
                self._watched[reference].users.add(uid)

    def release(self, uid: str) -> None:
        for reference, watched in list(self._watched.items()):
            watched.users.discard(uid)
            if not watched.users:
                watched.task.cancel()
                del self._watched[reference]

    async def ready(self, pod: Pod) -> None:
        """Wait until everything the pod reads has been asked for once."""
        self.acquire(pod)
        namespace = podspec.namespace(pod)
        for kind, name in referenced(pod):
            if (watched := self._watched.get((kind, namespace, name))) is not None:
                await watched.informer.synced()

    def data(self, namespace: str, kind: str, name: str) -> Mapping[str, bytes] | None:
        watched = self._watched.get((kind, namespace, name))
        obj = watched.informer.get(namespace, name) if watched else None
        return None if obj is None else object_data(kind, obj)

    def _watch(self, reference: Reference) -> _Watched:
        kind, namespace, name = reference
        informer = Informer(self._client, _RESOURCES[kind], namespace=namespace, field_selector=f"metadata.name={name}")

        def tell(_: Delta) -> None:
            if informer.has_synced and (watched := self._watched.get(reference)) is not None:
                for uid in tuple(watched.users):
                    self._changed(uid)

        informer.subscribe(tell)
        return _Watched(informer, tasks.spawn(informer.run(), name=f"watch {kind} {namespace}/{name}"))


class TokenSource:
    """Service account tokens bound to pods, asked for by TokenRequest and renewed before they expire."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tokens: dict[tuple[str, TokenWish], tuple[str, float]] = {}

    async def tokens(self, pod: Pod) -> dict[TokenWish, str]:
        """Every token the pod asks for. Raises StatusError, Unreachable."""
        return {wish: await self._token(pod, wish) for wish in token_wishes(pod)}

    def renew_at(self, pod: Pod) -> float | None:
        """When the first of the pod's tokens is due for renewal."""
        uid = podspec.uid(pod)
        return min((due for (owner, _), (_, due) in self._tokens.items() if owner == uid), default=None)

    def forget(self, uid: str) -> None:
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]

    async def _token(self, pod: Pod, wish: TokenWish) -> str:
        key = (podspec.uid(pod), wish)
        known = self._tokens.get(key)
        if known is not None and time.time() < known[1]:
            return known[0]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": podspec.name(pod), "uid": podspec.uid(pod)}
        spec: dict[str, Any] = {"expirationSeconds": wish.seconds, "boundObjectRef": bound}
        if wish.audience:
            spec["audiences"] = [wish.audience]
        answer = await self._client.create(
            SERVICEACCOUNTS,
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
            podspec.namespace(pod),
            name=pod["spec"].get("serviceAccountName") or "default",
            subresource="token",
        )
        status, now = answer["status"], time.time()
        due = now + (parse_time(status["expirationTimestamp"]) - now) * RENEW_AT
        self._tokens[key] = (status["token"], due)
        return str(status["token"])
