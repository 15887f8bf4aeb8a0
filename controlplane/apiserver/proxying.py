"""pods/proxy, services/proxy, nodes/proxy: HTTP passed on to what runs in the cluster (`kubectl get --raw`, `proxy`).

A name may say how to speak and to which port: `https:name:8443`. Bodies stream both ways; upgraded connections
(WebSocket) are joined byte by byte. Kubelets are asked with this server's client certificate, and their own is checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import ssl
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from panal import resources
from panal.addresses import in_loopback, real_port
from panal.errors import BadRequest, InternalError, StatusError, not_found
from panal.hijack import LIMIT

from . import logs, relinking, streams
from .answers import Answer
from .context import Call, Parts
from .registry import Object

_SLICES = resources.resource("endpointslices")
_SERVICE = "kubernetes.io/service-name"
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip
"""Of one connection only (RFC 9110, 7.6.1)."""
_PRIVATE = ("authorization", "impersonate-")
"""Who the client is, is between it and this server."""
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Backend:
    """Where a request goes."""

    scheme: str
    host: str
    port: int | None
    kubelet: bool = False

    @property
    def authority(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def split(name: str) -> tuple[str, str, str] | None:
    """`[scheme:]name[:port]` as scheme, name, port; None for what is neither."""
    match name.split(":"):
        case [only] if only:
            return "", only, ""
        case [first, port] if first:
            return "", first, port
        case [scheme, middle, port] if middle and scheme in ("", "http", "https"):
            return scheme, middle, port
    return None


async def serve(parts: Parts, call: Call) -> Answer | web.StreamResponse:
    """Any method. Raises NotFound, BadRequest, and ServiceUnavailable for what cannot be reached."""
    base, rest = paths(call.http.path_qs.partition("?")[0], call.resource.namespaced)
    if not rest and call.http.method in ("GET", "HEAD"):
        query = f"?{call.query.text}" if call.query.text else ""
        return Answer(b"", 301, "text/plain; charset=utf-8", {"Location": f"{base}/{query}"})
    backend = _backend(parts, call)
    where = (rest or "/") + (f"?{call.query.text}" if call.query.text else "")
    fields = _forwarded(call.http, base, rest)
    try:
        if "upgrade" in call.http.headers.get("Connection", "").lower():
            return await _upgrade(parts, call, backend, where, fields)
        return await _pass(parts, call, backend, where, fields, base)
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise _unavailable(f"error trying to reach service: {_told(backend, error)}") from error


def paths(path: str, namespaced: bool) -> tuple[str, str]:
    """The path of the proxy itself, and what follows it."""
    segments = path.split("/")
    length = 8 if namespaced else 6
    rest = segments[length:]
    return "/".join(segments[:length]), f"/{'/'.join(rest)}" if len(segments) > length else ""


def _unavailable(message: str) -> StatusError:
    return StatusError(message, code=503, reason="ServiceUnavailable")


def _told(backend: Backend, error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return f"dial tcp {backend.authority}: connect: connection refused"
    if isinstance(error, TimeoutError):
        return f"dial tcp {backend.authority}: i/o timeout"
    return f"dial tcp {backend.authority}: {error}"


def _backend(parts: Parts, call: Call) -> Backend:
    plural, name = call.resource.plural, call.target.name
    found = split(name)
    if found is None:
        raise BadRequest(f'invalid {call.resource.kind.lower()} request "{name}"')
    scheme, name, port = found
    if plural == "nodes":
        return _node(parts, scheme, name, port)
    if plural == "services":
        return _service(parts, call.namespace, scheme, name, port)
    return _pod(parts.reader.get(call.resource, call.namespace, name).decode(), scheme, port)


def _node(parts: Parts, scheme: str, name: str, port: str) -> Backend:
    host, kubelet = logs.address(parts, name)
    if port in ("", str(kubelet)):
        return Backend("https", host, kubelet, kubelet=True)
    return Backend(scheme or "http", host, _number(port, "node", name))


def _pod(pod: Object, scheme: str, port: str) -> Backend:
    number = _number(port, "pod", pod["metadata"]["name"]) if port else None
    if number is None:
        declared = (each["containerPort"] for c in pod["spec"]["containers"] for each in c.get("ports") or ())
        number = next(declared, None)
    return _reachable(scheme, (pod.get("status") or {}).get("podIP") or "", number)


def _number(port: str, kind: str, name: str) -> int:
    if not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise BadRequest(f'invalid {kind} request "{name}:{port}"')
    return int(port)


def _reachable(scheme: str, address: str, port: int | None) -> Backend:
    """Raises BadRequest for an address that would lead back to this server's own machine."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise BadRequest("address not allowed") from None
    if found.is_link_local or found.is_multicast or found.is_unspecified or (found.is_loopback and not in_loopback()):
        raise BadRequest("address not allowed")
    return Backend(scheme or "http", address, None if port is None else real_port(port))


def _service(parts: Parts, namespace: str, scheme: str, name: str, port: str) -> Backend:
    if port.isdecimal():
        item = parts.reader.shelf(resources.SERVICES).get(namespace, name)
        if item is None:
            raise not_found("services", "", name)
        declared = {str(each["port"]): each.get("name", "") for each in item.decode()["spec"].get("ports") or ()}
        if port not in declared:
            raise _unavailable(f'no service port {port} found for service "{name}"')
        port = declared[port]
    ends = [
        (address, int(each["port"]))
        for item in parts.reader.shelf(_SLICES).list(namespace)
        if item.labels.get(_SERVICE) == name
        for address, each in endpoints(item.decode(), port)
    ]
    if not ends:
        if parts.reader.shelf(resources.SERVICES).get(namespace, name) is None:
            raise not_found("services", "", name)
        raise _unavailable(f'no endpoints available for service "{name}"')
    address, number = random.choice(ends)
    return _reachable(scheme, address, number)


def endpoints(found: Object, port: str) -> list[tuple[str, Object]]:
    """The addresses of a slice that are ready, with its port of that name."""
    ports = [each for each in found.get("ports") or () if (each.get("name") or "") == port and each.get("port")]
    ready = [each for each in found.get("endpoints") or () if (each.get("conditions") or {}).get("ready") is not False]
    return [(address, each) for end in ready for address in end.get("addresses") or () for each in ports]


def _forwarded(request: web.BaseRequest, base: str, rest: str) -> CIMultiDict[str]:
    """The request's header, as the backend gets it."""
    fields: CIMultiDict[str] = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in _HOP_BY_HOP and not name.lower().startswith(_PRIVATE)
    )
    came_from = [*fields.popall("X-Forwarded-For", []), *([request.remote] if request.remote else [])]
    if came_from:
        fields["X-Forwarded-For"] = ", ".join(came_from)
    fields["X-Forwarded-Uri"] = base + rest
    fields["X-Forwarded-Host"] = request.headers.get("Host", "")
    fields["X-Forwarded-Proto"] = "https"
    return fields


async def _pass(
    parts: Parts, call: Call, backend: Backend, where: str, fields: CIMultiDict[str], base: str
) -> web.StreamResponse:
    session = parts.kubelets.session() if backend.kubelet else parts.kubelets.plain()
    request = call.http
    async with session.request(
        request.method,
        URL(f"{backend.scheme}://{backend.authority}{where}", encoded=True),
        headers=fields,
        data=request.content if request.can_read_body else None,
        allow_redirects=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    ) as upstream:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for name, value in upstream.headers.items():
            if name.lower() not in _HOP_BY_HOP and name != "Content-Length":
                response.headers.add(name, located(value, backend, request, base) if name == "Location" else value)
        response.content_length = upstream.content_length if request.method != "HEAD" else None
        first = b""
        if request.method != "HEAD" and _is_page(upstream):
            first, whole = await _start_of(upstream)
            if whole:
                hosts = {backend.authority, request.headers.get("Host", "")}
                packed = upstream.headers.get("Content-Encoding", "")
                first = await asyncio.to_thread(relinking.page, first, packed, base, hosts)
                response.content_length = len(first)
        await response.prepare(request)
        with suppress(aiohttp.ClientPayloadError):
            if first:
                await response.write(first)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
        await response.write_eof()
        return response


def _is_page(upstream: aiohttp.ClientResponse) -> bool:
    return relinking.wanted(upstream.headers.get("Content-Type", ""), upstream.headers.get("Content-Encoding", ""))


async def _start_of(upstream: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """As much of a page as is looked at, and whether that is all of it."""
    found = bytearray()
    with suppress(aiohttp.ClientPayloadError):
        while len(found) <= relinking.LIMIT:
            if not (chunk := await upstream.content.readany()):
                return bytes(found), True
            found += chunk
    return bytes(found), False


def located(value: str, backend: Backend, request: web.BaseRequest, base: str) -> str:
    """A redirection within the backend leads through the proxy."""
    found = urlsplit(value)
    if found.netloc not in ("", backend.authority, request.headers.get("Host", "")):
        return value
    if not found.netloc and not found.path.startswith("/"):
        return value
    return urlunsplit(("", "", base + (found.path or "/"), found.query, found.fragment))


async def _upgrade(
    parts: Parts, call: Call, backend: Backend, where: str, fields: CIMultiDict[str]
) -> Answer | web.StreamResponse:
    context: ssl.SSLContext | None = None
    if backend.scheme == "https":
        context = parts.kubelets.tls() if backend.kubelet else _unchecked()
    port = backend.port or (443 if backend.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            opened = await asyncio.open_connection(backend.host, port, ssl=context, limit=LIMIT)
    except OSError as error:
        raise InternalError(f"error dialing backend: dial tcp {backend.host}:{port}: {error}") from error
    fields["Upgrade"] = call.http.headers.get("Upgrade", "")
    try:
        return await streams.join(call.http, opened, where, list(fields.items()))
    finally:
        opened[1].close()


def _unchecked() -> ssl.SSLContext:
    """Pods' own certificates are nobody's to check, as in Kubernetes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
