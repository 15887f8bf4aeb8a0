"""Sending a review to a webhook: to its URL or an endpoint of its Service, over TLS that its `caBundle` vouches for.

Admission webhooks and the conversion webhooks of custom kinds are called alike.
"""

from __future__ import annotations

import base64
import binascii
import random
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from panal import resources
from panal.addresses import real_port

from ..admission.attributes import Object, Reader

_ANSWER_BYTES = 4 * 1024 * 1024
_TOLD_BYTES = 2048
"""Bytes of a failed answer that are told at most, as client-go does."""
_CONTEXTS = 64
_SERVICE = "kubernetes.io/service-name"
_SLICES = resources.resource("endpointslices")
_REFUSALS = {
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}
"""client-go's words for answers that are no success."""


class Unreachable(Exception):
    """A webhook that gave no answer; `while_` is what could not be done."""

    def __init__(self, why: str, while_: str = "failed to call webhook") -> None:
        super().__init__(why)
        self.while_ = while_


class Caller:
    """Calls webhooks with a session that is made when the first is called."""

    def __init__(self, reader: Reader, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._reader = reader
        self._session = session
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def call(self, client: Mapping[str, Any], seconds: float, body: bytes) -> bytes:
        """The answer's body. `client` is a WebhookClientConfig. Raises Unreachable."""
        shown, address, name = self._where(client, seconds)
        context = self._context(str(client.get("caBundle") or ""))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, */*",
            "Host": urlsplit(shown).netloc,
        }
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session().post(
                URL(address, encoded=True), data=body, headers=headers, ssl=context, server_hostname=name,
                timeout=timeout, allow_redirects=False,
            ) as answer:  # fmt: skip
                raw = await _whole(answer)
        except TimeoutError:
            raise Unreachable(f'Post "{shown}": context deadline exceeded') from None
        except aiohttp.ClientError as error:
            raise Unreachable(f'Post "{shown}": {_told(address, error)}') from error
        if answer.status != 200:
            raise Unreachable(_refusal(answer.status, raw))
        return raw

    def _where(self, client: Mapping[str, Any], seconds: float) -> tuple[str, str, str]:
        """The address as it is told, the one to connect to, and the name that the certificate has to have."""
        query = f"timeout={int(seconds)}s"
        if client.get("url"):
            url = str(client["url"])
            shown = f"{url}{'&' if '?' in url else '?'}{query}"
            return shown, shown, urlsplit(url).hostname or ""
        service = client.get("service") or {}
        namespace, name, port = str(service.get("namespace")), str(service.get("name")), int(service.get("port") or 443)
        path = quote(str(service.get("path") or "/"), safe="/%?=&")
        host = f"{name}.{namespace}.svc"
        shown = f"https://{host}:{port}{path if path.startswith('/') else f'/{path}'}?{query}"
        try:
            ends = list(endpoints(self._reader, namespace, name, port))
        except LookupError as why:
            raise Unreachable(f'Post "{shown}": {why.args[0]}') from None
        if not ends:
            raise Unreachable(f'Post "{shown}": no endpoints available for service "{name}"')
        address, number = random.choice(ends)
        return shown, shown.replace(f"{host}:{port}", f"{address}:{number}", 1), host

    def _context(self, bundle: str) -> ssl.SSLContext:
        found = self._contexts.get(bundle)
        if found is None:
            if len(self._contexts) >= _CONTEXTS:
                self._contexts.clear()
            try:
                authorities = base64.b64decode(bundle).decode() if bundle else None
                found = ssl.create_default_context(cadata=authorities)
            except (ssl.SSLError, ValueError, binascii.Error):
                words = "unable to load root certificates: unable to parse bytes as PEM block"
                raise Unreachable(words, while_="could not get REST client") from None
            self._contexts[bundle] = found
        return found


def endpoints(reader: Reader, namespace: str, name: str, port: int) -> Iterator[tuple[str, int]]:
    """Where a Service's port is served now. Raises LookupError for no such Service or port."""
    service = reader.get(resources.SERVICES, namespace, name)
    if service is None:
        raise LookupError(f'service "{name}" not found')
    declared: Mapping[int, Any] = {int(each["port"]): each for each in service["spec"].get("ports") or ()}
    if port not in declared:
        raise LookupError(f'no service port {port} found for service "{name}"')
    wanted = declared[port].get("name") or ""
    for found in reader.list(_SLICES, namespace):
        if (found["metadata"].get("labels") or {}).get(_SERVICE) == name:
            yield from _ready(found, wanted)


def _ready(found: Object, wanted: str) -> Iterator[tuple[str, int]]:
    for each in found.get("ports") or ():
        if (each.get("name") or "") == wanted and each.get("port"):
            for end in found.get("endpoints") or ():
                if (end.get("conditions") or {}).get("ready") is not False:
                    yield from ((address, real_port(each["port"])) for address in end.get("addresses") or ())


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """The body, as far as it may go."""
    raw = await answer.content.read(_ANSWER_BYTES)
    while not answer.content.at_eof() and len(raw) < _ANSWER_BYTES:
        raw += await answer.content.read(_ANSWER_BYTES)
    return raw


def _refusal(status: int, raw: bytes) -> str:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if status < 500:
        return "the server rejected our request for an unknown reason"
    said = raw[:_TOLD_BYTES].decode("utf-8", "replace").strip()
    return f'an error on the server ("{said or "unknown"}") has prevented the request from succeeding'


def _told(address: str, error: aiohttp.ClientError) -> str:
    where = urlsplit(address).netloc
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return f"dial tcp {where}: connect: connection refused"
    return f"dial tcp {where}: {error}"
