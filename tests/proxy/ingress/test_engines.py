"""Other programs as the engine: real ones must find what the RouteTable finds, and lose no request when told anew.

Those but NGINX with PANAL_TEST_ALL=1.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from panal import tools
from panal.proxy.ingress.build import build
from panal.proxy.ingress.engines.caddy import Caddy
from panal.proxy.ingress.engines.contract import Ports
from panal.proxy.ingress.engines.haproxy import HAProxy, expression, literal, name
from panal.proxy.ingress.engines.httpd import MODULES, Httpd
from panal.proxy.ingress.engines.nginx import Nginx, location, quoted
from panal.proxy.ingress.engines.running import Runner
from panal.proxy.ingress.heads import plain_path
from panal.proxy.ingress.routes import Backend, Complaint, Route, RouteTable
from panal.proxy.ingress.tls import fake_certificate

from ...ports import free_port
from .conftest import backend as serving_backend
from .conftest import saying, status
from .test_annotations import HTPASSWD, PASSWORD, answering
from .test_build import Objects, slice_of
from .test_build import backend as to
from .test_build import ingress as object_of

SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:.tools/bin:{Path(sys.executable).parent}"
COMMANDS = {
    "nginx": ("nginx", "-c", "@/nginx.conf", "-e", "/dev/stderr", "-g", "daemon off;"),
    "caddy": ("caddy", "run", "--config", "@/caddy.json", "--pidfile", "@/caddy.pid"),
    "httpd": ("apache2", "-D", "FOREGROUND", "-f", "@/httpd.conf"),
    "haproxy": ("haproxy", "-W", "-db", "-f", "@/haproxy.cfg", "-p", "@/haproxy.pid"),
}
FAKE = fake_certificate(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))


def httpd(fake: tuple[bytes, bytes]) -> Httpd:
    """With the modules where they lie on this machine."""
    unpacked = tools.folder(os.environ)
    there = Path(MODULES).exists() or unpacked is None
    return Httpd(fake, MODULES if there else f"{unpacked}/root{MODULES}")


ENGINES = {"nginx": Nginx, "haproxy": HAProxy, "httpd": httpd, "caddy": Caddy}


class Real:
    """A running program and the Runner that tells it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.ports = Ports(free_port(), free_port(), free_port())
        self.complaints: list[Complaint] = []
        self.runner = Runner(ENGINES[name](FAKE), folder, self.ports, lambda _: None, self._complain, patience=2.5)
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

    async def get(self, host: str, path: str = "/", *lines: str, body: str = "", method: str = "GET") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports.http)
        request = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", body])
        writer.write(request.encode())
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@pytest.fixture(params=COMMANDS if os.environ.get("PANAL_TEST_ALL") else ["nginx"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Real]:
    if shutil.which(COMMANDS[request.param][0], path=SEARCHED) is None and not (
        os.environ.get("CI") and request.param == "nginx"
    ):
        pytest.skip(f"needs the program {request.param}")
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        Path(folder).chmod(0o755)  # httpd becomes an ordinary user, as it does in a pod
        real = Real(request.param, Path(folder))
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
        assert re.search(rb"(?i)\nset-cookie: INGRESSCOOKIE=\.?[0-9a-f]{16,64};", await engine.get("sticky"))


async def test_no_request_is_lost_while_rules_change(engine: Real, view: Objects) -> None:
    if engine.name == "caddy":
        pytest.skip("Caddy itself ends a connection that comes in the moment of a change: docs/differences says so")
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
async def test_what_an_engine_refuses_changes_nothing(engine: Real, view: Objects) -> None:
    good = object_of("p", ("a.com", "Prefix", "/", to("one", 80)))
    await engine.apply(build([good], view))
    rule = ("b.com", "ImplementationSpecific", "/\\u0041", to("two", 80))  # PCRE has no such escape
    bad = object_of("q", rule, annotations={"use-regex": "true"})
    await engine.apply(build([good, bad], view))
    if engine.name in ("caddy", "httpd"):  # one would refuse everything, the other would end: it is asked before
        assert engine.runner.refused == 0
        assert [complaint.ingress for complaint in engine.complaints] == ["default/q"]
        assert "is no regular expression to every engine" in engine.complaints[0].message
    else:
        assert engine.runner.refused == 1
    assert said(await engine.get("a.com")) == "one"
    assert engine.runner.in_force.encode() in (engine.folder / engine.runner._engine.main).read_bytes()
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


async def test_a_canary_by_header_cookie_and_weight(engine: Real, view: Objects) -> None:
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


async def test_passwords_and_other_origins_are_asked_for_by_caddy_and_httpd(engine: Real, view: Objects) -> None:
    if engine.name not in ("caddy", "httpd"):
        pytest.skip("the others' own tests say what they can't do")
    view.secrets["default", "who"] = {
        "metadata": {"name": "who", "namespace": "default", "uid": "u", "resourceVersion": "1"},
        "data": {"auth": base64.b64encode(HTPASSWD["bcrypt"].encode()).decode()},
    }
    asked = {"auth-type": "basic", "auth-secret": "who"}
    cors = {"enable-cors": "true", "cors-allow-origin": "https://*.b.com"}
    await engine.apply(
        build(
            [
                object_of("p", ("a.com", "Prefix", "/", to("one", 80)), annotations=asked),
                object_of("c", ("c.com", "Prefix", "/", to("one", 80)), annotations=cors),
            ],
            view,
        )
    )
    assert status(await engine.get("a.com")) == 401
    for word, wanted in ((PASSWORD["bcrypt"], 200), ("wrong", 401)):
        known = base64.b64encode(f"ana:{word}".encode()).decode()
        assert status(await engine.get("a.com", "/", f"Authorization: Basic {known}")) == wanted
    answers = [(await engine.get("c.com", "/", f"Origin: https://{name}")).lower() for name in ("x.b.com", "evil.com")]
    assert [b"\naccess-control-allow-origin: https://x.b.com\r" in answer for answer in answers] == [True, False]
    assert b"access-control" not in answers[1]
    flight = await engine.get("c.com", "/", "Origin: https://x.b.com", method="OPTIONS")
    assert status(flight) == 204
    assert b"\naccess-control-max-age: 1728000\r" in flight.lower()


async def test_groups_of_a_path_become_the_path_that_is_asked_for(engine: Real, view: Objects) -> None:
    rewrite = {"rewrite-target": "/$2", "use-regex": "true"}
    rule = ("a.com", "ImplementationSpecific", "/shop(/|$)(.*)", to("one", 80))
    heard: list[bytes] = []
    async with serving_backend(saying(answering("one"), heard)) as (host, port):
        view.endpoint_slices["default", "one"] = [slice_of([(host, True)], {"http": port})]
        await engine.apply(build([object_of("p", rule, annotations=rewrite)], view))
        for path in ("/shop/a/b?c=d", "/shop", "/shop/a%20b"):
            assert said(await engine.get("a.com", path)) == "one"
    lines = [request.partition(b"\r\n")[0].decode() for request in heard]
    assert lines == ["GET /a/b?c=d HTTP/1.1", "GET / HTTP/1.1", "GET /a%20b HTTP/1.1"]
    head = heard[0].decode().lower()
    for told in ("host: a.com", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-request-id: "):
        assert f"\r\n{told}" in head
