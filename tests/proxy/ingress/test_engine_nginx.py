"""NGINX as the engine: a real one must find what the RouteTable finds, and lose no request when it is told anew."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from panal.proxy.ingress.build import build
from panal.proxy.ingress.engines.contract import Ports
from panal.proxy.ingress.engines.nginx import Nginx, location, quoted
from panal.proxy.ingress.engines.running import Runner
from panal.proxy.ingress.heads import plain_path
from panal.proxy.ingress.routes import Backend, Complaint, Route, RouteTable
from panal.proxy.ingress.tls import fake_certificate

from ...ports import free_port
from .conftest import backend as serving_backend
from .conftest import saying, status
from .test_annotations import answering
from .test_build import Objects, slice_of
from .test_build import backend as to
from .test_build import ingress as object_of

PROGRAM = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:.tools/bin")
needs_nginx = pytest.mark.skipif(PROGRAM is None and not os.environ.get("CI"), reason="needs the program nginx")
FAKE = fake_certificate(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))


class Real:
    """A running NGINX and the Runner that tells it."""

    def __init__(self, folder: Path) -> None:
        self.ports = Ports(free_port(), free_port(), free_port())
        self.complaints: list[Complaint] = []
        self.runner = Runner(Nginx(FAKE), folder, self.ports, lambda _: None, self._complain, patience=1.0)
        self.runner.prepare()
        command = [PROGRAM or "nginx", "-c", str(folder / "nginx.conf"), "-e", "/dev/stderr", "-g", "daemon off;"]
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def _complain(self, complaints: Any) -> None:
        self.complaints = list(complaints)

    async def apply(self, table: RouteTable) -> None:
        before = self.runner.reloads + self.runner.refused
        self.runner.apply(table)
        async with asyncio.timeout(10):
            while self.runner.reloads + self.runner.refused == before:
                await asyncio.sleep(0.01)

    async def get(self, host: str, path: str = "/", *lines: str, body: str = "") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports.http)
        request = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", body])
        writer.write(request.encode())
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Real]:
    real = Real(tmp_path)
    try:
        yield real
    finally:
        real.process.terminate()
        real.process.wait(10)


@pytest.fixture
async def view() -> AsyncIterator[Objects]:
    """Three Services, each with an endpoint that answers with its name and what it was asked for."""
    async with contextlib.AsyncExitStack() as stack:
        objects = Objects()
        for name in ("one", "two", "three"):
            host, port = await stack.enter_async_context(serving_backend(saying(answering(name))))
            objects.services["default", name] = {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"ports": [{"name": "http", "port": 80}]},
            }
            objects.endpoint_slices["default", name] = [slice_of([(host, True)], {"http": port})]
        yield objects


def said(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[2].decode() if status(answer) == 200 else str(status(answer))


@needs_nginx
async def test_nginx_finds_what_the_table_finds(nginx: Real, view: Objects) -> None:
    table = build(
        [
            object_of("p", ("a.com", "Prefix", "/", to("one", 80)), ("a.com", "Prefix", "/foo", to("two", 80))),
            object_of("e", ("a.com", "Exact", "/foo", to("three", 80)), ("a.com", "Exact", "/b.r", to("three", 80))),
            object_of("i", ("b.com", "ImplementationSpecific", "/foo", to("one", 80))),
            object_of("j", ("b.com", "Prefix", "/foo/bar/", to("two", 80))),
            object_of("k", ("b.com", "Prefix", "/a{2}", to("two", 80))),
            object_of("r", ("c.com", "ImplementationSpecific", "/v[0-9]+/", to("one", 80)),
                      annotations={"use-regex": "true"}),
            object_of("w", ("*.foo.com", "Prefix", "/", to("two", 80))),
            object_of("d", default=to("three", 80)),
        ],
        view,
    )  # fmt: skip
    await nginx.apply(table)
    hosts = ("a.com", "b.com", "c.com", "A.COM", "x.foo.com", "y.x.foo.com", "foo.com", "nobody.com")
    paths = (
        "/",
        "/foo",
        "/foo/",
        "/foobar",
        "/foo/bar",
        "/foo/bar/x",
        "/b.r",
        "/bxr",
        "/v12/x",
        "/v/x",
        "/a{2}",
        "/aa",
    )
    strange = ("/%66oo", "/x/../foo", "//foo")
    for host in hosts:
        for path in (*paths, *strange):
            route = table.find(host.lower(), plain_path(path.encode()))
            wanted = "404" if route is None else route.backend.name.split("-")[1]
            assert said(await nginx.get(host, path)) == wanted, (host, path)


@needs_nginx
async def test_annotations_mean_the_same_to_nginx(nginx: Real, view: Objects) -> None:
    def one(host: str, path: str = "/", **annotations: str) -> Any:
        names = {key.replace("_", "-"): value for key, value in annotations.items()}
        return object_of(host, (host, "ImplementationSpecific", path, to("one", 80)), annotations=names)

    table = build(
        [
            one("moved", permanent_redirect="https://x.org/"),
            one("closed", whitelist_source_range="10.0.0.0/8"),
            one("open", whitelist_source_range="127.0.0.0/8"),
            one("broken", whitelist_source_range="nonsense"),
            one("secure", force_ssl_redirect="true"),
            one("small", proxy_body_size="1k"),
            one("sticky", affinity="cookie"),
            one("odd", x_forwarded_prefix="/$host"),
        ],
        view,
    )
    await nginx.apply(table)
    codes = {host: status(await nginx.get(host)) for host in ("moved", "closed", "open", "broken", "secure", "sticky")}
    assert codes == {"moved": 301, "closed": 403, "open": 200, "broken": 503, "secure": 308, "sticky": 200}
    assert b"Location: https://secure/\r\n" in await nginx.get("secure")
    assert status(await nginx.get("small", "/", "Content-Length: 2000", body="x" * 2000)) == 413
    assert status(await nginx.get("odd")) == 404
    assert [str(complaint) for complaint in nginx.complaints] == [
        "Ingress default/odd: '/$host' holds what has a meaning of its own in NGINX",
        "Ingress default/sticky: annotation affinity is not supported by the engine nginx",
    ]


@needs_nginx
async def test_no_request_is_lost_while_rules_change(nginx: Real, view: Objects) -> None:
    always = object_of("p", ("a.com", "Prefix", "/", to("one", 80)))
    await nginx.apply(build([always], view))
    answers: list[str] = []
    ended = asyncio.Event()

    async def load() -> None:
        while not ended.is_set():
            answers.append(said(await nginx.get("a.com")))

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(load(), name=f"load {number}")
        for number in range(3):
            other = object_of("o", (f"h{number}.com", "Prefix", "/", to("two", 80)))
            await nginx.apply(build([always, other], view))
            assert said(await nginx.get(f"h{number}.com")) == "two"
        ended.set()
    assert nginx.runner.reloads == 4
    assert len(answers) > 20
    assert set(answers) == {"one"}


@needs_nginx
async def test_what_nginx_refuses_changes_nothing(nginx: Real, view: Objects, tmp_path: Path) -> None:
    good = object_of("p", ("a.com", "Prefix", "/", to("one", 80)))
    await nginx.apply(build([good], view))
    rule = ("b.com", "ImplementationSpecific", "/\\u0041", to("two", 80))  # PCRE has no such escape
    bad = object_of("q", rule, annotations={"use-regex": "true"})
    await nginx.apply(build([good, bad], view))
    assert nginx.runner.refused == 1
    assert said(await nginx.get("a.com")) == "one"
    assert nginx.runner.in_force.encode() in (tmp_path / "nginx.conf").read_bytes()
    await nginx.apply(build([good, object_of("q", ("b.com", "Prefix", "/", to("two", 80)))], view))
    assert said(await nginx.get("b.com")) == "two"


def test_nothing_of_an_ingress_can_end_a_word_of_the_configuration() -> None:
    assert quoted('a"; } \\ b') == '"a\\"; } \\\\ b"'
    for text in ("a\nb", "$host", "a\0"):
        with pytest.raises(ValueError, match="meaning of its own"):
            quoted(text)
    assert location(Route('/a"b\\', "Exact", Backend("b"))) == '= "/a\\"b\\\\"'
