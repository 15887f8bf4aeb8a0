"""Sending a review to a webhook: to its URL or an endpoint of its Service, over TLS that its `caBundle` vouches for."""

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
from .matching import Webhook
from .review import Failure

_ANSWER_BYTES = 4 * 1024 * 1024
_CONTEXTS = 64
_SERVICE = "kubernetes.io/service-name"
_SLICES = resources.resource("endpointslices")


class Caller:
    """Calls webhooks with a session that is made when the first is called."""

    def __init__(self, reader: Reader, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._reader = reader
        self._session = session
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def call(self, hook: Webhook, body: bytes) -> bytes:
        """The answer's body. Raises Failure."""
        shown, address, name = self._where(hook)
        context = self._context(str((hook.spec.get("clientConfig") or {}).get("caBundle") or ""))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, */*",
            "Host": urlsplit(shown).netloc,
        }
        timeout = aiohttp.ClientTimeout(total=hook.seconds)
        try:
            async with self._session().post(
                URL(address, encoded=True), data=body, headers=headers, ssl=context, server_hostname=name,
                timeout=timeout, allow_redirects=False,
            ) as answer:  # fmt: skip
                if answer.status != 200:
                    raise Failure(f"failed to call webhook: the server rejected our request: {answer.status}")
                raw = await answer.content.read(_ANSWER_BYTES)
                while not answer.content.at_eof() and len(raw) < _ANSWER_BYTES:
                    raw += await answer.content.read(_ANSWER_BYTES)
                return raw
        except TimeoutError:
            raise Failure(f'failed to call webhook: Post "{shown}": context deadline exceeded') from None
        except aiohttp.ClientError as error:
            raise Failure(f'failed to call webhook: Post "{shown}": {_told(address, error)}') from error

    def _where(self, hook: Webhook) -> tuple[str, str, str]:
        """The address as it is told, the one to connect to, and the name that the certificate has to have."""
        client = hook.spec.get("clientConfig") or {}
        query = f"timeout={int(hook.seconds)}s"
        if client.get("url"):
            url = str(client["url"])
            shown = f"{url}{'&' if '?' in url else '?'}{query}"
            return shown, shown, urlsplit(url).hostname or ""
        service = client.get("service") or {}
        namespace, name, port = str(service.get("namespace")), str(service.get("name")), int(service.get("port") or 443)
        path = quote(str(service.get("path") or "/"), safe="/%?=&")
        host = f"{name}.{namespace}.svc"
        shown = f"https://{host}:{port}{path if path.startswith('/') else f'/{path}'}?{query}"
        ends = list(endpoints(self._reader, namespace, name, port))
        if not ends:
            raise Failure(f'failed to call webhook: Post "{shown}": no endpoints available for service "{name}"')
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
                raise Failure("unable to load root certificates: unable to parse bytes as PEM block") from None
            self._contexts[bundle] = found
        return found


def endpoints(reader: Reader, namespace: str, name: str, port: int) -> Iterator[tuple[str, int]]:
    """Where a Service's port is served now. Raises Failure for no such Service or port."""
    service = reader.get(resources.SERVICES, namespace, name)
    if service is None:
        raise Failure(f'failed to call webhook: service "{name}" not found')
    declared: Mapping[int, Any] = {int(each["port"]): each for each in service["spec"].get("ports") or ()}
    if port not in declared:
        raise Failure(f'failed to call webhook: no service port {port} found for service "{name}"')
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


def _told(address: str, error: aiohttp.ClientError) -> str:
    where = urlsplit(address).netloc
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return f"dial tcp {where}: connect: connection refused"
    return f"dial tcp {where}: {error}"
