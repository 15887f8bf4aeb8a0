"""Who may ask the kubelet's port what, as upstream with webhook authentication and authorization.

A client shows a certificate of the cluster's CA or a bearer token (TokenReview); nobody is anonymous. What is asked
becomes a sub-resource of `nodes`, and the API server decides (SubjectAccessReview). The API server itself and
system:masters, whom it would allow anything, are not asked about. `questions` is pure.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web

from panal.client import Client, Unreachable
from panal.errors import StatusError
from panal.resources import resource

ALLOWED_USERS = frozenset({"kube-apiserver-kubelet-client"})
ALLOWED_GROUPS = frozenset({"system:masters"})

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WHOLE = {"stats": "stats", "metrics": "metrics", "logs": "log", "spec": "spec", "checkpoint": "checkpoint"}
_FINE = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}
"""Asked first, then `proxy` (KubeletFineGrainedAuthz)."""

TOKEN_SECONDS, YES_SECONDS, NO_SECONDS = 120.0, 300.0, 30.0
"""How long answers are remembered: upstream's defaults."""
_REMEMBERED = 1024
_TOKEN_LIMIT = 16 << 10

T = TypeVar("T")


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


def questions(method: str, path: str) -> tuple[str, Sequence[str]]:
    """The verb, and the sub-resources of `nodes` of which one must be allowed."""
    first = path.lstrip("/").partition("/")[0]
    if first in _WHOLE:
        return VERBS.get(method, ""), (_WHOLE[first],)
    return VERBS.get(method, ""), ((_FINE[first], "proxy") if first in _FINE else ("proxy",))


def of_certificate(certificate: Mapping[str, Any] | None) -> User | None:
    """Common name and organizations, as the API server reads them."""
    subject = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    groups = tuple(value for key, value in subject if key == "organizationName")
    return User(names[0], groups) if names else None


@dataclass
class Remembered(Generic[T]):
    """Answers for a while, the newest 1024 of them."""

    clock: Callable[[], float]
    _kept: dict[Any, tuple[float, T]] = field(default_factory=dict)

    def get(self, key: Any) -> T | None:
        until, answer = self._kept.get(key, (0.0, None))
        return answer if self.clock() < until else None

    def keep(self, key: Any, answer: T, seconds: float) -> T:
        self._kept.pop(key, None)
        while len(self._kept) >= _REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self.clock() + seconds, answer)
        return answer


class Guard:
    """Stands before every page of the port."""

    def __init__(self, client: Client, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._node = client, node
        self._tokens: Remembered[User] = Remembered(clock)
        self._answers: Remembered[bool] = Remembered(clock)

    def middleware(self) -> Any:
        @web.middleware
        async def authorized(request: web.Request, handler: Any) -> web.StreamResponse:
            if (refusal := await self.refusal(request)) is not None:
                return refusal
            response: web.StreamResponse = await handler(request)
            return response

        return authorized

    async def refusal(self, request: web.Request) -> web.Response | None:
        """401 for who is nobody, 403 for who may not, 500 when the API server can't be asked; None: go ahead."""
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        try:
            user = of_certificate(certificate) or await self._by_token(request.headers.get("Authorization", ""))
            if user is None:
                return web.Response(status=401, text="Unauthorized\n")
            if user.name in ALLOWED_USERS or ALLOWED_GROUPS & set(user.groups):
                return None
            verb, subresources = questions(request.method, request.path)
            for subresource in subresources:
                if await self._allowed(user, verb, subresource):
                    return None
        except (Unreachable, StatusError):
            return web.Response(status=500, text="Authorization error: the API server could not be asked\n")
        shown = "".join(letter for letter in user.name if letter.isprintable())[:200]
        words = f"Forbidden (user={shown}, verb={verb}, resource=nodes, subresource(s)=[{' '.join(subresources)}])\n"
        return web.Response(status=403, text=words)

    async def _by_token(self, header: str) -> User | None:
        kind, _, token = header.partition(" ")
        token = token.strip()
        if kind.lower() != "bearer" or not token or len(token) > _TOKEN_LIMIT:
            return None
        key = hashlib.sha256(token.encode()).digest()
        if (known := self._tokens.get(key)) is not None:
            return known
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.create(resource("tokenreviews"), review)).get("status") or {}
        if not status.get("authenticated"):
            return None
        found = status.get("user") or {}
        extra = tuple((name, tuple(values)) for name, values in (found.get("extra") or {}).items())
        user = User(found.get("username", ""), tuple(found.get("groups") or ()), found.get("uid", ""), extra)
        return self._tokens.keep(key, user, TOKEN_SECONDS)

    async def _allowed(self, user: User, verb: str, subresource: str) -> bool:
        key = (user, verb, subresource)
        if (known := self._answers.get(key)) is not None:
            return known
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.name,
                "groups": list(user.groups),
                "uid": user.uid,
                "extra": {name: list(values) for name, values in user.extra},
                "resourceAttributes": {
                    "verb": verb,
                    "version": "v1",
                    "resource": "nodes",
                    "subresource": subresource,
                    "name": self._node,
                },
            },
        }
        answer = await self._client.create(resource("subjectaccessreviews"), review)
        allowed = bool((answer.get("status") or {}).get("allowed"))
        return self._answers.keep(key, allowed, YES_SECONDS if allowed else NO_SECONDS)
