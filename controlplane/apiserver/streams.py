"""pods/exec, pods/attach, pods/portforward: connections that change their protocol, passed on to the pod's kubelet.

The request is sent on as it came, with the kubelet's path and query. When the kubelet agrees to the upgrade, both
connections are joined byte by byte: what is spoken on them, WebSocket or SPDY, is between client and kubelet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web
from multidict import CIMultiDict

from panal.errors import BadRequest, InternalError
from panal.hijack import LIMIT, Hijacked
from panal.tasks import cancel, spawn

from . import logs
from .answers import Answer
from .authz import Attributes
from .context import Call, Parts

NAMES = ("exec", "attach", "portforward")
"""The subresources that are streams."""
_FOLDERS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}
_OPTIONS = {"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions"}
_FLAGS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
_PASSED = (
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "X-Stream-Protocol-Version",
)
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_REFUSAL_BYTES = 64 * 1024
_FIELDS = 4096
"""Words that a command may have."""

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(parts: Parts, call: Call) -> Answer | web.StreamResponse:
    """GET (WebSocket) or POST (SPDY); whoever may only `get` may not run commands, and asks with either."""
    parts.authorizer.require(call.user, replace(Attributes.of(call.target), verb="create"))
    pod = parts.reader.get(call.resource, call.namespace, call.target.name).decode()
    where = kubelet_path(pod, call.target.subresource, call.query.text)
    node = str(pod["spec"].get("nodeName") or "")
    if not node:
        raise BadRequest(f"pod {call.target.name} does not have a host assigned")
    if "upgrade" not in call.http.headers.get("Connection", "").lower() or not call.http.headers.get("Upgrade"):
        raise BadRequest("Upgrade request required")
    options = connect_options(pod, call.target.subresource, call.query.text)
    await parts.registry.connect(call.context(), call.resource, options)
    host, port = logs.address(parts, node)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            kubelet = await asyncio.open_connection(host, port, ssl=parts.kubelets.tls(), limit=LIMIT)
    except (OSError, TimeoutError) as error:
        raise InternalError(f"error dialing backend: dial tcp {host}:{port}: {error or 'i/o timeout'}") from error
    fields = [(name, value) for name in _PASSED for value in call.http.headers.getall(name, [])]
    try:
        return await join(call.http, kubelet, where, [("Host", f"{host}:{port}"), *fields])
    finally:
        kubelet[1].close()


def kubelet_path(pod: dict[str, object], subresource: str, query: str) -> str:
    """The kubelet's path and query for a request on the pod. Raises BadRequest."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise BadRequest("invalid query") from None
    meta = pod["metadata"]
    assert isinstance(meta, dict)
    parts = [_FOLDERS[subresource], meta["namespace"], meta["name"]]
    if subresource == "portforward":
        passed = [(name, value) for name, value in pairs if name == "ports"]
    else:
        parts.append(logs.choose(pod, next((value for name, value in pairs if name == "container"), "")))
        passed = [(name, value) for name, value in pairs if name == "command" and subresource == "exec"]
        wanted = {_FLAGS[name] for name, value in pairs if name in _FLAGS and value.lower() not in ("0", "false")}
        passed += [(name, "1") for name in sorted(wanted)]
    return "/" + "/".join(quote(str(part), safe="") for part in parts) + "?" + urlencode(passed)


def connect_options(pod: dict[str, object], subresource: str, query: str) -> dict[str, object]:
    """What a client asks for, as webhooks are shown it. The query has been read once already."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
    options: dict[str, object] = {"kind": _OPTIONS[subresource], "apiVersion": "v1"}
    if subresource == "portforward":
        return {**options, "ports": [int(value) for name, value in pairs if name == "ports" and value.isdigit()]}
    asked = {name for name, value in pairs if name in _FLAGS and value.lower() not in ("0", "false")}
    options |= {name: True for name in _FLAGS if name in asked}
    options["container"] = logs.choose(pod, next((value for name, value in pairs if name == "container"), ""))
    if subresource == "exec":
        options["command"] = [value for name, value in pairs if name == "command"]
    return options


async def join(
    request: web.BaseRequest, backend: _Streams, where: str, fields: Sequence[tuple[str, str]]
) -> Answer | web.StreamResponse:
    """Ask the backend for the upgrade that the client asks for, and join both connections when it agrees."""
    reader, writer = backend
    lines = [f"{request.method} {where} HTTP/1.1", "Connection: Upgrade", *(f"{n}: {value}" for n, value in fields)]
    if request.method == "POST":
        lines.append("Content-Length: 0")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
        raise InternalError(f"error dialing backend: {error or 'timeout'}") from error
    status, answered = _parse(head)
    if status != 101:
        return await _refusal(reader, status, answered)
    hijacked = Hijacked(request)
    client = hijacked.streams
    client[1].write(head)
    copying = [
        spawn(_copy(reader, client[1]), name="from backend"),
        spawn(_copy(client[0], writer), name="to backend"),
    ]
    try:
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in copying:
            await cancel(task)
        client[1].close()
    return hijacked


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(LIMIT):
            writer.write(chunk)
            await writer.drain()


async def _refusal(reader: asyncio.StreamReader, status: int, fields: CIMultiDict[str]) -> Answer:
    length = fields.get("Content-Length", "")
    size = min(int(length), _REFUSAL_BYTES) if length.isdecimal() else 0
    body = b""
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            body = await reader.readexactly(size)
    return Answer(body, status, fields.get("Content-Type", "text/plain; charset=utf-8"))


def _parse(head: bytes) -> tuple[int, CIMultiDict[str]]:
    """Raises InternalError for what is no HTTP."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[1].isdecimal():
        raise InternalError("the backend did not answer in HTTP")
    fields: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields.add(name.strip(), value.strip())
    return int(words[1]), fields
