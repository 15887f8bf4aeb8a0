"""One client of the Kubernetes API for every component: JSON over TLS, errors as `panal.errors`.

A server that cannot be reached raises `Unreachable`; callers that must go on (informers, controllers) try again.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import orjson

from .addresses import real_port
from .errors import StatusError, from_status
from .kubeconfig import Access, access
from .resources import Resource

if TYPE_CHECKING:
    from .http1 import Connection, Pool

Object = dict[str, Any]
PatchKind = Literal["merge", "json", "strategic"]

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds its service account's token and the cluster's CA."""

_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
_TOKEN_SECONDS = 60.0
"""A token file is read again after this long: the kubelet renews it well before it expires."""
_AT_ONCE = 12
"""Requests under way, watches apart; more wait. Each needs a connection, whose TLS handshake costs more than it."""
_LINE_LIMIT = 8 * 1024 * 1024
"""Bytes of one watch event at most; objects are bounded to 3 MiB by the server."""


class Unreachable(ConnectionError):
    """The API server does not answer now."""


class Client:
    """Requests to one API server. Close it when done; it may be used from one event loop only."""

    def __init__(self, how: Access, *, user_agent: str = "panal") -> None:
        self._access = how
        self._base = how.server.rstrip("/")
        self._user_agent = user_agent
        self._pool: Pool | None = None
        self._token: tuple[float, str] | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def from_kubeconfig(cls, path: str | Path, *, user_agent: str = "panal") -> Client:
        """Raises KubeconfigError."""
        return cls(access(Path(path)), user_agent=user_agent)

    @classmethod
    def in_cluster(cls, environ: Mapping[str, str], *, user_agent: str = "panal") -> Client:
        """As a pod: KUBERNETES_SERVICE_HOST and _PORT, and the service account's files.

        In the plain runtime the files lie below $PANAL_ROOT. Raises KeyError or ValueError outside a pod, OSError
        without the files.
        """
        host, port = environ["KUBERNETES_SERVICE_HOST"], real_port(int(environ["KUBERNETES_SERVICE_PORT"]), environ)
        folder = Path(environ.get("PANAL_ROOT", "") + SERVICE_ACCOUNT)
        how = Access(
            server=f"https://{host}:{port}", ca=(folder / "ca.crt").read_bytes(), token_file=str(folder / "token")
        )
        return cls(how, user_agent=user_agent)

    @property
    def server(self) -> str:
        return self._base

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        return await self._object("GET", resource.path(namespace, _segment(name), subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int | None = None,
    ) -> Object:
        """The List object, all pages of it when `limit` is None. Items have their kind, which the server leaves out."""
        params = _params(
            labelSelector=label_selector, fieldSelector=field_selector, resourceVersion=resource_version, limit=limit
        )
        found = await self._object("GET", resource.path(namespace), params=params)
        for item in found.get("items") or ():
            item.setdefault("kind", resource.kind)
            item.setdefault("apiVersion", resource.api_version)
        return found

    async def create(
        self,
        resource: Resource,
        obj: Object,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """POST. `name` and `subresource` are for pods/binding, serviceaccounts/token and their like."""
        namespace = namespace or obj.get("metadata", {}).get("namespace")
        return await self._object("POST", resource.path(namespace, name and _segment(name), subresource), body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """PUT; the name, namespace and resourceVersion are those of the object."""
        meta = obj["metadata"]
        return await self._object(
            "PUT", resource.path(meta.get("namespace"), _segment(meta["name"]), subresource), body=obj
        )

    async def update_status(self, resource: Resource, obj: Object) -> Object:
        return await self.update(resource, obj, subresource="status")

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        kind: PatchKind = "merge",
        subresource: str | None = None,
    ) -> Object:
        path = resource.path(namespace, _segment(name), subresource)
        return await self._object("PATCH", path, body=patch, content_type=_PATCH_TYPES[kind])

    async def apply(self, resource: Resource, obj: Object, *, manager: str, force: bool = True) -> Object:
        """Server-side apply."""
        meta = obj["metadata"]
        params = _params(fieldManager=manager, force="true" if force else None)
        path = resource.path(meta.get("namespace"), _segment(meta["name"]))
        return await self._object("PATCH", path, params=params, body=obj, content_type="application/apply-patch+yaml")

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        grace_seconds: int | None = None,
        propagation: str | None = None,
        uid: str | None = None,
    ) -> Object:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation is not None:
            options["propagationPolicy"] = propagation
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return await self._object("DELETE", resource.path(namespace, _segment(name)), body=options)

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[AsyncIterator[tuple[str, Object]]]:
        """Events after `resource_version` as (type, object). An ERROR event is raised as its StatusError.

        The iteration ends when the server ends the watch; raises Unreachable when the connection breaks.
        """
        params = _params(
            watch="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            allowWatchBookmarks="true" if bookmarks else None,
            timeoutSeconds=timeout_seconds,
        )
        async with self._respond("GET", resource.path(namespace), params=params) as response:
            yield _events(response)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Any request; the answer's body. Raises StatusError and Unreachable."""
        async with (
            self._places,
            self._respond(method, path, params=params, body=body, headers=headers) as response,
        ):
            return await response.read()

    async def _object(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        headers = {"Content-Type": content_type} if body is not None else None
        data = orjson.dumps(body) if body is not None else None
        answer: Object = orjson.loads(await self.request(method, path, params=params, body=data, headers=headers))
        return answer

    @asynccontextmanager
    async def _respond(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Connection]:
        sent = {"Accept": "application/json", **(headers or {})}
        if token := self._bearer():
            sent["Authorization"] = f"Bearer {token}"
        try:
            async with self._open().request(method, path, params=params, body=body, headers=sent) as response:
                if response.status >= 400:
                    raise _failure(response.status, await response.read(1 << 20))
                yield response
        except (TimeoutError, ConnectionError) as error:
            if isinstance(error, Unreachable):
                raise
            raise Unreachable(f"{method} {self._base}{path}: {error or type(error).__name__}") from error

    def _open(self) -> Pool:
        if self._pool is None:
            from .http1 import Pool

            secure = tls_context(self._access) if self._base.startswith("https") else None
            self._pool = Pool(self._base, secure, {"User-Agent": self._user_agent})
        return self._pool

    def _bearer(self) -> str | None:
        if self._access.token_file is None:
            return self._access.token
        now = time.monotonic()
        if self._token is None or now - self._token[0] > _TOKEN_SECONDS:
            self._token = (now, Path(self._access.token_file).read_text().strip())
        return self._token[1]


def tls_context(how: Access) -> ssl.SSLContext:
    """Verifies the server by the given CA (the system's without one) and shows the client certificate, if any."""
    context = ssl.create_default_context(cadata=how.ca.decode() if how.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if how.certificate and how.key:
        # load_cert_chain takes files only; a memory file keeps the key off the disk.
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, how.certificate + b"\n" + how.key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    return context


async def _events(response: Connection) -> AsyncIterator[tuple[str, Object]]:
    buffer = bytearray()
    async for chunk in response.chunks():
        buffer += chunk
        *lines, rest = buffer.split(b"\n")
        for line in lines:
            if not line:
                continue
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise from_status(event["object"])
            yield event["type"], event["object"]
        if len(rest) > _LINE_LIMIT:
            raise Unreachable(f"a watch event of more than {_LINE_LIMIT} bytes")
        buffer = bytearray(rest)


def _failure(code: int, body: bytes) -> StatusError:
    try:
        status = orjson.loads(body)
        if isinstance(status, dict) and status.get("kind") == "Status":
            return from_status(status)
    except orjson.JSONDecodeError:
        pass
    return from_status(
        {"code": code, "message": body[:200].decode(errors="replace").strip() or f"the server answered {code}"}
    )


def _params(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def _segment(name: str) -> str:
    """A name as one path segment; `.` and `..`, which a URL would swallow, are refused."""
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of an object")
    return quote(name, safe=":")


async def until_reachable(client: Client, *, seconds: float) -> None:
    """Return once /readyz answers; raises Unreachable after `seconds`."""
    deadline = time.monotonic() + seconds
    delay = 0.01
    while True:
        try:
            await client.request("GET", "/readyz")
            return
        except (Unreachable, StatusError) as error:
            if time.monotonic() + delay > deadline:
                raise Unreachable(f"the API server did not become ready in {seconds:.0f} s: {error}") from error
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 0.1)
