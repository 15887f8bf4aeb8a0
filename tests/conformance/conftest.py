"""Behaviour of a Kubernetes API, seen through HTTP only: any cluster's.

Without more said, one real API server process of this project serves all tests of a worker. With
PANAL_CONFORMANCE_KUBECONFIG=FILE they run against that cluster, as its current context's user, who must be an
administrator. Every test works in a `namespace` of its own, and names cluster-wide objects after it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from yarl import URL

from panal import kubeconfig

from ..controlplane.apiserver.http.conftest import ApiServer, make

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_counter = iter(range(1_000_000))


@dataclass
class Answer:
    """An answer; `body` is decoded where it is JSON."""

    status: int
    headers: Any
    raw: bytes
    body: Any = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.body = orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            self.body = self.raw.decode("utf-8", "replace")

    @property
    def reason(self) -> str:
        return str(self.body.get("reason")) if isinstance(self.body, dict) else ""

    @property
    def message(self) -> str:
        return str(self.body.get("message")) if isinstance(self.body, dict) else str(self.body)

    @property
    def warnings(self) -> list[str]:
        """The texts of the Warning headers."""
        return [line.split(" ", 2)[2][1:-1].replace('\\"', '"') for line in self.headers.getall("Warning", [])]

    @property
    def names(self) -> list[str]:
        """Of a list's items."""
        return [item["metadata"]["name"] for item in self.body["items"]]

    @property
    def revision(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    def ok(self) -> Answer:
        """This answer, which must be a success."""
        assert self.status < 300, (self.status, self.message)
        return self


class Api:
    """Requests as one user."""

    def __init__(self, server: str, session: aiohttp.ClientSession, context: ssl.SSLContext, token: str = "") -> None:
        self.server, self.session, self.context = server, session, context
        self._always = {"Authorization": f"Bearer {token}"} if token else {}

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """`body` is sent as it is where it is bytes, else as JSON; headers' names are written with underscores."""
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        async with self._request(method, path, data, headers) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    def _request(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        given = {"Content-Type": "application/json", "Accept-Encoding": "identity", **self._always}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.server + path, encoded=True)
        return self.session.request(method, url, data=data, headers=given, ssl=self.context)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self("GET", path, **headers)

    async def create(self, path: str, body: Any, **headers: str) -> Answer:
        return await self("POST", path, body, **headers)

    async def patch(self, path: str, body: Any, media: str = MERGE, **headers: str) -> Answer:
        return await self("PATCH", path, body, Content_Type=media, **headers)

    async def apply(self, path: str, body: Any, manager: str, **headers: str) -> Answer:
        """Server-side apply."""
        joint = "&" if "?" in path else "?"
        return await self.patch(f"{path}{joint}fieldManager={manager}", body, APPLY, **headers)

    @asynccontextmanager
    async def watch(self, path: str, **headers: str) -> AsyncIterator[Events]:
        joint = "&" if "?" in path else "?"
        async with self._request("GET", f"{path}{joint}watch=1", None, headers) as answer:
            yield Events(answer)


class Events:
    """A watch's events, one after the other."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> dict[str, Any]:
        """Raises TimeoutError when none comes for 20 seconds, EOFError when the stream ends."""
        async with asyncio.timeout(20):
            line = await self.answer.content.readline()
        if not line:
            raise EOFError
        event: dict[str, Any] = orjson.loads(line)
        return event

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[dict[str, Any]]:
        """Until the server ends the stream."""
        found = []
        try:
            while True:
                found.append(await self.next())
        except EOFError:
            return found


@dataclass
class Target:
    """The cluster under test. `own` is this project's server, where it is one."""

    kubeconfig: Path
    own: ApiServer | None = None


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if given := os.environ.get("PANAL_CONFORMANCE_KUBECONFIG"):
        yield Target(Path(given))
        return
    server = make(tmp_path_factory.mktemp("conformance"))
    server.start()
    yield Target(server.user("admin", "system:masters"), server)
    if server.process is not None and server.process.poll() is None:
        assert server.stop() == 0, server.log()


@pytest.fixture
async def api(target: Target) -> AsyncIterator[Api]:
    """Requests as the administrator."""
    access = kubeconfig.access(target.kubeconfig)
    context = ssl.create_default_context(cadata=access.ca.decode() if access.ca else None)
    if access.certificate and access.key:
        descriptor = _secret(access)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        os.close(descriptor)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        yield Api(access.server, session, context, access.token or "")
    await asyncio.sleep(0.01)  # TLS connections end one loop later than their session


@pytest.fixture
def settled(api: Api, target: Target) -> Callable[[str], Awaitable[Any]]:
    """The object of a path once nobody else writes it any more: a whole cluster has controllers."""

    async def found(path: str) -> Any:
        answer = (await api.get(path)).ok()
        before = b""
        async with asyncio.timeout(60):
            while target.own is None and answer.raw != before:
                before = answer.raw
                await asyncio.sleep(1)
                answer = (await api.get(path)).ok()
        return answer

    return found


def _secret(access: kubeconfig.Access) -> int:
    """A file in memory with the client's certificate and key."""
    descriptor = os.memfd_create("client")
    os.write(descriptor, (access.certificate or b"") + (access.key or b""))
    return descriptor


@pytest.fixture
async def namespace(api: Api) -> AsyncIterator[str]:
    """A namespace of the test's own, deleted afterwards. It has the service account that pods need."""
    name = f"conformance-{os.getpid()}-{next(_counter)}"
    (await api.create("/api/v1/namespaces", {"metadata": {"name": name}})).ok()
    account = await api.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    assert account.status in (201, 409), account.message
    yield name
    await api("DELETE", f"/api/v1/namespaces/{name}")
