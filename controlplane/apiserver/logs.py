"""pods/log: the container's log, fetched from the kubelet of the pod's node and passed on as it comes."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import web

from panal.errors import BadRequest, InternalError, NotFound, StatusError
from panal.resources import NODES

from . import weblogs
from .context import Call, Parts
from .options import Options

if TYPE_CHECKING:
    from .answers import Answer

_PASSED = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream")
_CONNECT_SECONDS = 10.0
_ERROR_BYTES = 4096
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class Kubelets:
    """Connections to the kubelets, made when the first is needed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._plain: aiohttp.ClientSession | None = None
        self.summaries: dict[str, tuple[float, asyncio.Task[dict[str, Any] | None]]] = {}
        """What kubelets told last about the use of their node, by its name, with the loop's time of the question."""

    def tls(self) -> ssl.SSLContext:
        """How this server shows itself to kubelets, and knows them."""
        if self._tls is None:
            authority = self._options.kubelet_certificate_authority
            self._tls = ssl.create_default_context(cafile=str(authority) if authority else None)
            if self._options.kubelet_client_certificate and self._options.kubelet_client_key:
                self._tls.load_cert_chain(self._options.kubelet_client_certificate, self._options.kubelet_client_key)
        return self._tls

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self.tls(), limit=0)
            timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self._session

    def plain(self) -> aiohttp.ClientSession:
        """For pods and Services, which show certificates of their own, if any: they are not checked (pods/proxy)."""
        if self._plain is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
            self._plain = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=False, limit=0),
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._plain

    async def close(self) -> None:
        for session in (self._session, self._plain):
            if session is not None:
                await session.close()


async def log(parts: Parts, call: Call) -> Answer | web.StreamResponse:
    """GET pods/NAME/log."""
    pod = parts.reader.get(call.resource, call.namespace, call.target.name).decode()
    container = choose(pod, call.query.get("container"))
    node = str(pod["spec"].get("nodeName") or "")
    if not node:
        raise BadRequest(f"pod {call.target.name} does not have a host assigned")
    path = "/".join(quote(part, safe="") for part in (call.namespace, call.target.name, container))
    query = urlencode({name: call.query.get(name) for name in _PASSED if name in call.query})
    host, port = address(parts, node)
    url = f"https://{host}:{port}/containerLogs/{path}?{query}"
    try:
        return await _stream(parts, call, url)
    except aiohttp.ClientConnectionError as error:
        shown = url.replace('"', "%22")
        raise InternalError(f'Get "{shown}": {error}') from error


def choose(pod: dict[str, Any], asked: str) -> str:
    """The container meant: the one asked for, the annotated or the only one. Raises BadRequest."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    main = [each["name"] for each in spec.get("containers") or ()]
    first = [each["name"] for each in spec.get("initContainers") or ()]
    every = [*main, *first, *(each["name"] for each in spec.get("ephemeralContainers") or ())]
    if asked:
        if asked not in every:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    preferred = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if preferred in every:
        return str(preferred)
    if len(main) == 1:
        return str(main[0])
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    if first:
        text += f" or one of the init containers: [{' '.join(first)}]"
    raise BadRequest(text)


def address(parts: Parts, name: str) -> tuple[str, int]:
    """Where the node's kubelet answers. Raises NotFound, InternalError."""
    item = parts.reader.shelf(NODES).get("", name)
    if item is None:
        raise NotFound(f'nodes "{name}" not found', details={"name": name, "kind": "nodes"})
    status = item.decode().get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or 10250
    addresses = {each.get("type"): each.get("address") for each in status.get("addresses") or ()}
    host = addresses.get("InternalIP") or addresses.get("ExternalIP")
    if not host:
        raise InternalError(f"no preferred addresses found; known addresses: {list(addresses.values())}")
    return str(host), int(port)


async def _stream(parts: Parts, call: Call, url: str) -> web.StreamResponse:
    async with parts.kubelets.session().get(url) as upstream:
        if upstream.status != 200:
            message = (await upstream.content.read(_ERROR_BYTES)).decode("utf-8", "replace").strip()
            raise _refusal(upstream.status, message)
        if call.http.headers.get("Upgrade", "").lower() == "websocket":
            return await weblogs.send(call.http, upstream.content)
        response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(call.http)
        with suppress(aiohttp.ClientPayloadError):
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
        await response.write_eof()
        return response


def _refusal(status: int, message: str) -> StatusError:
    if status == 404:
        return NotFound(message or "the server could not find the requested resource", details={})
    if status < 500:
        return BadRequest(message)
    return InternalError(f"an error on the server ({message!r}) has prevented the request from succeeding")
