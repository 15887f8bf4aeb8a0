"""`netexec`: the pages with which tests look at a network, and what they dial through it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from panal import durations

from . import certificates
from .flags import number, parse
from .servers import Datagrams, Handler, address, serve, until_told

_PAGES = (
    "clientip dial echo exit header healthz hostname hostName redirect serverport shell shutdown upload".split()
)  # fmt: skip
_TOLD = {
    "dial": ("host", "protocol", "port", "request", "tries"),
    "echo": ("msg", "code"),
    "exit": ("code", "timeout", "wait"),
    "header": ("key",),
    "redirect": ("msg", "code"),
    "shell": ("cmd",),
}
"""The parameters that are in the log."""
_OUTPUT_LIMIT = 1 << 20
_TRIES_LIMIT = 10_000
_FLAGS = {
    "http-port": "8080",
    "udp-port": "8081",
    "delay-shutdown": "0",
    "http-override": "",
    "tls-cert-file": "",
    "tls-private-key-file": "",
    "udp-listen-addresses": "",
}


def main(argv: list[str]) -> int:
    values, _ = parse(argv, _FLAGS)
    return asyncio.run(Netexec(values).run())


class Netexec:
    """The server. Delays and status codes: /echo?code=, /redirect?code=, /exit?wait=&code=; CPU: /shell."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._http, self._udp = number(values, "http-port"), number(values, "udp-port")
        self._delay = number(values, "delay-shutdown")
        self._tls = certificates.context(values["tls-cert-file"], values["tls-private-key-file"])
        self._override = values["http-override"]
        self._listening = self._udp == -1

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        if self._udp != -1:
            await loop.create_datagram_endpoint(lambda: Datagrams(self._datagram), (address(), self._udp))
            self._listening = True
            _log(f"Started UDP server on port {self._udp}")
        routes = [web.route("*", f"/{name}", self._logged(name)) for name in _PAGES]
        if self._override:
            routes = []
        runner = await serve([*routes, web.route("*", "/{rest:.*}", self._root)], self._http, self._tls)
        _log(f"Started HTTP{'S' if self._tls else ''} server on port {self._http}")
        await until_told()
        await asyncio.sleep(self._delay)
        await runner.cleanup()
        return 0

    def _logged(self, name: str) -> Handler:
        """The page, each request for which is in the log with its parameters: that is what tests look for there."""
        page: Handler = getattr(self, f"_{name.lower()}")

        async def handle(request: web.Request) -> web.StreamResponse:
            told = "&".join(f"{key}={_parameter(request, name, key)}" for key in _TOLD.get(name, ()))
            _log(f"{request.method if name == 'redirect' else 'GET'} /{name}{'?' if told else ''}{_shown(told)}")
            return await page(request)

        return handle

    async def _root(self, request: web.Request) -> web.StreamResponse:
        if self._override:
            target = URL(self._override, encoded=True)
            page = self._logged(target.path.strip("/")) if target.path.strip("/") in _PAGES else self._now
            return await page(request.clone(rel_url=target))
        return await self._now(request)

    async def _now(self, request: web.Request) -> web.Response:
        _log(f"GET {_shown(request.path)}")
        if request.path != "/":
            return web.Response(status=404, text="404 page not found\n")
        return web.Response(text=f"NOW: {time.strftime('%Y-%m-%d %H:%M:%S %z %Z')}")

    async def _clientip(self, request: web.Request) -> web.Response:
        peer = request.transport.get_extra_info("peername") if request.transport else ("", 0)
        return web.Response(text=f"{peer[0]}:{peer[1]}")

    async def _serverport(self, request: web.Request) -> web.Response:
        return web.Response(text=str(self._http))

    async def _header(self, request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get(request.query.get("key", ""), ""))

    async def _echo(self, request: web.Request) -> web.Response:
        code, words = _status(request, 200)
        return words or web.Response(status=code, text=request.query.get("msg", ""))

    async def _redirect(self, request: web.Request) -> web.Response:
        code, words = _status(request, 302)
        return words or web.Response(
            status=code, headers={"Location": request.query.get("location", "/").split("\n")[0]}
        )

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self._listening else 412)

    async def _hostname(self, request: web.Request) -> web.Response:
        return web.Response(text=socket.gethostname())

    async def _exit(self, request: web.Request) -> web.Response:
        try:
            wait = durations.seconds(request.query.get("wait") or "0s")
            code = int(request.query.get("code") or 0)
        except ValueError as error:
            return web.Response(text=f"{error}\n")
        _log(f"Will begin shutdown in {wait}s, then will exit with {code}")
        await asyncio.sleep(wait)
        os._exit(code & 0x7F)

    async def _shutdown(self, request: web.Request) -> web.Response:
        os._exit(0)

    async def _shell(self, request: web.Request) -> web.Response:
        """A command of the asker's, in this container: what this page is for, and for tests only."""
        command = request.query.get("shellCommand") or request.query.get("cmd", "")
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        found = {"output": output[:_OUTPUT_LIMIT].decode(errors="replace")} if output else {}
        if process.returncode:
            found["error"] = f"exit status {process.returncode}"
        return web.json_response(found)

    async def _upload(self, request: web.Request) -> web.Response:
        with contextlib.suppress(ValueError, AssertionError):
            form = await request.post()
            if isinstance(file := form.get("file"), web.FileField):
                place = os.path.join(os.environ.get("PANAL_ROOT", "") + "/uploads", f"upload-{os.urandom(4).hex()}")
                os.makedirs(os.path.dirname(place), exist_ok=True)
                Path(place).write_bytes(file.file.read())
                return web.json_response({"output": place}, status=201)
        return web.json_response({"error": "Unable to upload file."}, status=400)

    async def _dial(self, request: web.Request) -> web.Response:
        query = request.query
        tries, wanted, protocol = query.get("tries") or "1", query.get("request", ""), query.get("protocol") or "http"
        if not tries.isdigit() or int(tries) > _TRIES_LIMIT:
            return web.Response(status=400, text=f"tries parameter is invalid. {tries}\n")
        if not wanted:
            return web.Response(status=400, text="request parameter not specified. <nil>\n")
        if protocol.lower() not in ("http", "udp") or not query.get("port", "").isdigit():
            return web.Response(status=400, text=f"unsupported protocol. {protocol}\n")
        dial = _dial_http if protocol.lower() == "http" else _dial_udp
        responses, errors = [], []
        for _ in range(int(tries)):
            try:
                responses.append(await dial(query.get("host", ""), int(query["port"]), wanted))
            except (OSError, ClientError, TimeoutError) as error:
                errors.append(str(error) or type(error).__name__)
        output = {**({"responses": responses} if responses else {}), **({"errors": errors} if errors else {})}
        return web.Response(text=json.dumps(output, separators=(",", ":")))

    def _datagram(self, data: bytes, sender: tuple[str, int]) -> bytes | None:
        word, _, rest = data.decode(errors="replace").strip().partition(" ")
        match word.lower():
            case "hostname":
                return socket.gethostname().encode()
            case "echo":
                return rest.encode()
            case "clientip":
                return f"{sender[0]}:{sender[1]}".encode()
        return b"" if not word else None


def _parameter(request: web.Request, name: str, key: str) -> str:
    other = {("shell", "cmd"): "shellCommand", ("redirect", "msg"): "location"}.get((name, key), "")
    return request.query.get(other) or request.query.get(key, "")


def _status(request: web.Request, default: int) -> tuple[int, web.Response | None]:
    text = request.query.get("code") or str(default)
    if not text.isdigit() or not 200 <= int(text) <= 999:
        return 0, web.Response(text=f"argument 'code' must be an integer or empty, got {json.dumps(text)}\n")
    return int(text), None


async def _dial_http(host: str, port: int, request: str) -> str:
    place = f"[{host}]" if ":" in host else host
    async with (
        ClientSession(timeout=ClientTimeout(5)) as session,
        session.get(f"http://{place}:{port}/{request}") as answer,
    ):
        return await answer.text()


async def _dial_udp(host: str, port: int, request: str) -> str:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()

    def keep(data: bytes, sender: tuple[str, int]) -> None:
        if not answered.done():
            answered.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(keep), remote_addr=(host, port))
    try:
        transport.sendto(request.encode())
        return (await asyncio.wait_for(answered, 5)).decode(errors="replace")
    finally:
        transport.close()


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:500])


def _log(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
