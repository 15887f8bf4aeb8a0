"""The httpGet of probes and hooks: one request, redirects within its own host followed, anything else told as Go would.

As upstream: certificates are not verified, cookies not kept, a redirect to another host ends the probe with a warning.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from panal.addresses import real_port

from .outcome import Outcome

if TYPE_CHECKING:
    import aiohttp

USER_AGENT = "kube-probe/1.36"
BODY_LIMIT = 10 * 1024
"""Bytes of an answer that are read, as upstream."""
MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class HttpRequest:
    """A GET. `host` is a name or an address, without brackets; `path` begins with a slash and has the query."""

    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]

    @property
    def shown(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}{self.path}"


def http_request(action: Mapping[str, Any], port: int, pod_ip: str) -> HttpRequest:
    """The request that an httpGet asks for. Pure."""
    host = str(action.get("host") or pod_ip)
    path = str(action.get("path") or "/")
    return HttpRequest(
        scheme=str(action.get("scheme") or "HTTP").lower(),
        host=host,
        port=port,
        path=path if path.startswith("/") else f"/{path}",
        headers=tuple(_headers(action, f"{_bracketed(host)}:{port}")),
    )


def _headers(action: Mapping[str, Any], host: str) -> list[tuple[str, str]]:
    """The manifest's headers, each as often as it stands there; an empty User-Agent or Accept takes ours away."""
    own = [(str(item["name"]), str(item.get("value") or "")) for item in action.get("httpHeaders") or ()]
    named = {name.lower() for name, _ in own}
    defaults = [("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Host", host)]
    found = [(name, value) for name, value in defaults if name.lower() not in named]
    return found + [
        (name, value) for name, value in own if value or name.lower() not in ("user-agent", "accept", "host")
    ]


def redirected(request: HttpRequest, location: str) -> HttpRequest | None:
    """The request that a redirect asks for; None when it leads to another host. Raises ValueError."""
    target = urlsplit(urljoin(request.shown, location))
    if target.scheme not in ("http", "https") or (target.hostname or "") != request.host.lower():
        return None
    port = target.port or (443 if target.scheme == "https" else 80)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    return replace(request, scheme=target.scheme, port=port, path=path)


def session() -> aiohttp.ClientSession:
    """What requests are made with; close it when done."""
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0, ssl=_unverified()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "User-Agent", "Accept"),
    )


async def get(client: aiohttp.ClientSession, request: HttpRequest, timeout: float | None) -> Outcome:
    """Make the request; `timeout` seconds for all of it. Never raises but for cancellation."""
    import aiohttp

    first = request.shown
    try:
        async with asyncio.timeout(timeout):
            return await _follow(client, request)
    except TimeoutError:
        why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    except aiohttp.ClientConnectorError as error:
        why = f"dial tcp {_bracketed(request.host)}:{request.port}: connect: {reason(error.os_error)}"
    except aiohttp.ServerDisconnectedError:
        why = "EOF"
    except (aiohttp.ClientError, ValueError, OSError) as error:
        why = str(error) or "EOF"
    return Outcome(False, f'Get "{first}": {why}')


async def _follow(client: aiohttp.ClientSession, request: HttpRequest) -> Outcome:
    for _ in range(MOST_REDIRECTS):
        async with client.get(_url(request), headers=_multi(request), allow_redirects=False) as response:
            body = (await response.content.read(BODY_LIMIT)).decode(errors="replace")
            location = response.headers.get("Location") if response.status in _REDIRECTS else None
            following = redirected(request, location) if location else None
            if following is None:
                return judged(response.status, body)
            request = following
    raise ValueError(f"stopped after {MOST_REDIRECTS} redirects")


def judged(status: int, body: str) -> Outcome:
    """What an answer says about the program. Pure."""
    if 200 <= status < 300:
        return Outcome(True, body)
    if 300 <= status < 400:
        return Outcome(True, f"Probe terminated redirects, Response body: {body}", warning=True)
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


def _unverified() -> ssl.SSLContext:
    """Probes do not verify certificates (upstream's documented behaviour)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _url(request: HttpRequest) -> Any:
    from yarl import URL

    where = f"{request.scheme}://{_bracketed(request.host)}:{real_port(request.port)}"
    return URL(f"{where}{request.path}", encoded=True)


def _multi(request: HttpRequest) -> Any:
    from multidict import CIMultiDict

    return CIMultiDict(request.headers)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def reason(error: OSError) -> str:
    """The system's words as Go prints them."""
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else (error.strerror or str(error))
    return text[:1].lower() + text[1:]
