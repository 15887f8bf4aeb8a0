"""Other programs as the engine: real ones must find what the RouteTable finds, and lose no request when told anew.

HAProxy with PANAL_TEST_ALL=1.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from panal.proxy.ingress.build import build
from panal.proxy.ingress.engines.contract import Ports
from panal.proxy.ingress.engines.haproxy import HAProxy, expression, literal, name
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

SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:.tools/bin"
COMMANDS = {
    "nginx": ("nginx", "-c", "@/nginx.conf", "-e", "/dev/stderr", "-g", "daemon off;"),
    "haproxy": ("haproxy", "-W", "-db", "-f", "@/haproxy.cfg", "-p", "@/haproxy.pid"),
}
FAKE = fake_certificate(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))


class Real:
    """A running program and the Runner that tells it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.ports = Ports(free_port(), free_port(), free_port())
        self.complaints: list[Complaint] = []
        engine = HAProxy(FAKE) if name == "haproxy" else Nginx(FAKE)
        self.runner = Runner(engine, folder, self.ports, lambda _: None, self._complain, patience=2.5)
        self.runner.prepare()
        program, *arguments = COMMANDS[name]
        command = [
            shutil.which(program, path=SEARCHED) or program,
            *(word.replace("@", str(folder)) for word in arguments),
        ]
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


@pytest.fixture(params=COMMANDS if os.environ.get("PANAL_TEST_ALL") else ["nginx"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Real]:
    if shutil.which(request.param, path=SEARCHED) is None and not (os.environ.get("CI") and request.param == "nginx"):
        pytest.skip(f"needs the program {request.param}")
    real = Real(request.param, tmp_path)
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


async def test_an_engine_finds_what_the_table_finds(engine: Real, view: Objects) -> None:
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
    await engine.apply(table)
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
            assert said(await engine.get(host, path)) == wanted, (host, path)


async def test_annotations_mean_the_same_to_an_engine(engine: Real, view: Objects) -> None:
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
    await engine.apply(table)
    codes = {host: status(await engine.get(host)) for host in ("moved", "closed", "open", "broken", "secure", "sticky")}
    assert codes == {"moved": 301, "closed": 403, "open": 200, "broken": 503, "secure": 308, "sticky": 200}
    assert b"location: https://secure/\r\n" in (await engine.get("secure")).lower()
    assert status(await engine.get("small", "/", "Content-Length: 2000", body="x" * 2000)) == 413
    complaints = [str(complaint) for complaint in engine.complaints]
    if engine.name == "nginx":
        assert status(await engine.get("odd")) == 404
        assert complaints == [
            "Ingress default/odd: '/$host' holds what has a meaning of its own in NGINX",
            "Ingress default/sticky: annotation affinity is not supported by the engine nginx",
        ]
    else:
        assert status(await engine.get("odd")) == 200
        assert complaints == []
        assert re.search(rb"(?i)\nset-cookie: INGRESSCOOKIE=[0-9a-f]{16};", await engine.get("sticky"))


async def test_no_request_is_lost_while_rules_change(engine: Real, view: Objects) -> None:
    always = object_of("p", ("a.com", "Prefix", "/", to("one", 80)))
    await engine.apply(build([always], view))
    answers: list[str] = []
    ended = asyncio.Event()

    async def load() -> None:
        while not ended.is_set():
            answers.append(said(await engine.get("a.com")))

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(load(), name=f"load {number}")
        for number in range(3):
            other = object_of("o", (f"h{number}.com", "Prefix", "/", to("two", 80)))
            await engine.apply(build([always, other], view))
            assert said(await engine.get(f"h{number}.com")) == "two"
        ended.set()
    assert engine.runner.reloads == 4
    assert len(answers) > 20
    assert set(answers) == {"one"}


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_ALL"), reason="takes seconds of waiting: PANAL_TEST_ALL=1")
async def test_what_an_engine_refuses_changes_nothing(engine: Real, view: Objects, tmp_path: Path) -> None:
    good = object_of("p", ("a.com", "Prefix", "/", to("one", 80)))
    await engine.apply(build([good], view))
    rule = ("b.com", "ImplementationSpecific", "/\\u0041", to("two", 80))  # PCRE has no such escape
    bad = object_of("q", rule, annotations={"use-regex": "true"})
    await engine.apply(build([good, bad], view))
    assert engine.runner.refused == 1
    assert said(await engine.get("a.com")) == "one"
    assert engine.runner.in_force.encode() in (tmp_path / engine.runner._engine.main).read_bytes()
    await engine.apply(build([good, object_of("q", ("b.com", "Prefix", "/", to("two", 80)))], view))
    assert said(await engine.get("b.com")) == "two"


def test_nothing_of_an_ingress_can_end_a_word_of_the_configuration() -> None:
    assert quoted('a"; } \\ b') == '"a\\"; } \\\\ b"'
    for text in ("a\nb", "$host", "a\0"):
        with pytest.raises(ValueError, match="meaning of its own"):
            quoted(text)
    assert location(Route('/a"b\\', "Exact", Backend("b"))) == '= "/a\\"b\\\\"'


def test_nothing_of_an_ingress_can_end_a_word_of_haproxys_either() -> None:
    assert literal("a' b\\ %[src]") == "'a'\\'' b\\ %%[src]'"
    assert expression(Route("/a.b", "Prefix", Backend("b"))) == r"var(txn.path) -m reg '^/a\.b(?:/|$)'"
    for bad in ("a b", "a)", "a'", ""):
        with pytest.raises(ValueError, match="can't stand"):
            name(bad)


async def test_a_canary_by_header_cookie_and_weight_in_haproxy(engine: Real, view: Objects) -> None:
    main = object_of("main", ("a.com", "Prefix", "/", to("one", 80)))
    notes = {"canary": "true", "canary-by-header": "X-Next", "canary-by-cookie": "next", "canary-weight": "100"}
    await engine.apply(
        build([main, object_of("next", ("a.com", "Prefix", "/", to("two", 80)), annotations=notes)], view)
    )
    if engine.name == "nginx":
        assert [str(found) for found in engine.complaints] == [
            "Ingress default/main: annotation canary is not supported by the engine nginx"
        ]
        return
    answers = [
        said(await engine.get("a.com", "/", *lines))
        for lines in (["X-Next: always"], ["X-Next: never"], ["Cookie: next=never"], ["Cookie: next=always"], [])
    ]
    assert answers == ["two", "one", "one", "two", "two"]
