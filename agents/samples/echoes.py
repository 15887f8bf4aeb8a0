"""Servers that tell what they were asked: http-echo, whoami, echoserver, echo-server, NGINX' hello."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import sys
import time
import uuid
from typing import Any

from aiohttp import web

from ..agnhost.flags import Usage, number, parse
from .hello import go_time, run


def http_echo(argv: list[str]) -> int:
    """hashicorp/http-echo: one text for every request. Exit code 127 where none is given, as there."""
    try:
        values, rest = parse(argv, {"listen": ":5678", "text": "", "status-code": "200"})
        status = number(values, "status-code")
    except Usage as error:
        sys.stderr.write(f"{error}\n")
        return 2
    text = values["text"] or os.environ.get("ECHO_TEXT", "")
    if not text or rest:
        sys.stderr.write("Too many arguments!\n" if rest else "Missing -text option or ECHO_TEXT env var!\n")
        return 127

    async def echo(request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.json_response({"status": "ok"})
        began = time.perf_counter()
        body = f"{text}\n"
        took = f"{(time.perf_counter() - began) * 1e6:.3f}µs"
        agent = request.headers.get("User-Agent", "")
        line = f'"{request.method} {request.path} HTTP/1.1" {status} {len(body.encode())} "{_printable(agent)}" {took}'
        _log(f"{go_time()} {_printable(request.host)} {_peer(request)} {line}")
        return web.Response(status=status, text=body, headers={"X-App-Name": "http-echo", "X-App-Version": "1.0.0"})

    port = values["listen"].rpartition(":")[2]
    if not port.isdigit():
        sys.stderr.write(f"{go_time()} [ERR] listen {values['listen']}: no port\n")
        return 1
    return run(int(port), echo, lambda: f"{go_time()} [INFO] server is listening on {values['listen']}")


def whoami(argv: list[str]) -> int:
    """traefik/whoami: the pod, its addresses, the request as it came; JSON under /api."""
    environ = os.environ
    defaults = {"port": environ.get("WHOAMI_PORT_NUMBER", "80"), "name": environ.get("WHOAMI_NAME", "")}
    values, _ = parse(argv, {**defaults, "verbose": "false"})

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.Response()
        if request.path == "/bench":
            return web.Response(text="1")
        if request.path == "/api":
            return web.json_response(_who(request, values["name"]))
        who = _who(request, values["name"])
        lines = [f"Name: {who['name']}"] if who.get("name") else []
        lines += [f"Hostname: {who['hostname']}", *(f"IP: {address}" for address in who["ip"])]
        lines += [f"RemoteAddr: {_peer(request)}", f"{request.method} {request.raw_path} HTTP/1.1"]
        lines += [f"Host: {request.host}", *_headers(request, without=("host",))]
        return web.Response(text="\n".join(lines) + "\n\n")

    return run(number(values, "port"), answer, lambda: f"{go_time()} Starting up on port {values['port']}")


def echoserver(argv: list[str]) -> int:
    """google_containers/echoserver 1.10: the request in its sections."""

    async def answer(request: web.Request) -> web.Response:
        body = (await request.text()) or "-no body in request-"
        pod = [f"\t{said}:\t{os.environ[name]}" for said, name in _POD if os.environ.get(name)]
        lines = ["", "", f"Hostname: {socket.gethostname()}", "", "Pod Information:"]
        lines += [*(pod or ["\t-no pod information available-"]), "", "Server values:", "\tserver_version=panal"]
        lines += ["", "Request Information:", f"\tclient_address={request.remote}", f"\tmethod={request.method}"]
        lines += [f"\treal path={request.path}", f"\tquery={request.query_string}", "\trequest_version=1.1"]
        lines += ["\trequest_scheme=http", f"\trequest_uri=http://{request.url.host}:8080{request.raw_path}", ""]
        lines += ["Request Headers:", *sorted(f"\t{n.lower()}={v}" for n, v in request.headers.items())]
        return web.Response(text="\n".join([*lines, "", "Request Body:", f"\t{body}", "", ""]))

    return run(8080, answer)


def echo_server(argv: list[str]) -> int:
    """jmalloc/echo-server, and minikube's kicbase/echo-server: the request, as it came."""
    port = int(os.environ.get("PORT") or 8080)

    async def answer(request: web.Request) -> web.Response:
        _log(f"{_peer(request)} | {request.method} {request.path}")
        lines = [f"Request served by {socket.gethostname()}", "", f"{request.method} {request.raw_path} HTTP/1.1", ""]
        lines += [f"Host: {request.host}", *_headers(request, without=("host",)), ""]
        return web.Response(text="\n".join([*lines, await request.text()]))

    return run(port, answer, f"Echo server listening on port {port}.")


def nginx_hello(argv: list[str]) -> int:
    """nginxdemos/hello: which server answered, as a page."""
    return _nginx_hello(
        "<!DOCTYPE html>\n<html><head><title>Hello World</title></head><body><pre>\n{}</pre></body></html>\n"
    )


def nginx_hello_plain(argv: list[str]) -> int:
    return _nginx_hello("{}")


def _nginx_hello(page: str) -> int:
    async def answer(request: web.Request) -> web.Response:
        name = request.transport.get_extra_info("sockname") if request.transport else ("", 0)
        said = (
            f"Server address: {name[0]}:{name[1]}\nServer name: {socket.gethostname()}\n"
            f"Date: {time.strftime('%d/%b/%Y:%H:%M:%S +0000', time.gmtime())}\n"
            f"URI: {_safe(request.raw_path)}\nRequest ID: {uuid.uuid4().hex}\n"
        )
        return web.Response(text=page.format(said), content_type="text/plain" if page == "{}" else "text/html")

    return run(80, answer)


_POD = (
    ("node name", "NODE_NAME"),
    ("pod name", "POD_NAME"),
    ("pod namespace", "POD_NAMESPACE"),
    ("pod IP", "POD_IP"),
)


_SIOCGIFADDR = 0x8915
"""<linux/sockios.h>: the address of an interface."""


def _addresses() -> list[str]:
    """The IPv4 address of each interface that has one."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("40s", name.encode()[:15]))
                found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _who(request: web.Request, name: str) -> dict[str, Any]:
    headers = {key: request.headers.getall(key) for key in request.headers}
    answer = {"hostname": socket.gethostname(), "ip": _addresses(), "headers": headers, "url": request.raw_path}
    return {**answer, "host": request.host, "method": request.method, "remoteAddr": _peer(request), "name": name}


def _headers(request: web.Request, without: tuple[str, ...]) -> list[str]:
    return sorted(f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in without)


def _peer(request: web.Request) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{peer[0]}:{peer[1]}" if peer else ""


def _printable(text: str) -> str:
    return json.dumps(text)[1:-1]


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
