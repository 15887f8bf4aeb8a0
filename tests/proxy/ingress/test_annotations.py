"""The annotations of ingress-nginx on real sockets: each with the requests that show it."""

from __future__ import annotations

import base64
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from panal.proxy.ingress.build import build

from .conftest import OK, Ingress, backend, saying, status
from .test_build import Object, Objects, slice_of
from .test_build import backend as to
from .test_build import ingress as object_of

PREFIX = "nginx.ingress.kubernetes.io/"


class Site:
    """Ingresses before backends that answer with their own name."""

    def __init__(self, ingress: Ingress, stack: contextlib.AsyncExitStack) -> None:
        self.ingress, self._stack = ingress, stack
        self.objects = Objects()
        self.heard: dict[str, list[bytes]] = {}
        self._ingresses: list[Object] = []

    async def service(self, name: str, *answers: bytes) -> None:
        """A Service with one endpoint an answer; its own name if none is given."""
        endpoints = []
        heard = self.heard.setdefault(name, [])
        for answer in answers or (answering(name),):
            address = await self._stack.enter_async_context(backend(saying(answer, heard)))
            endpoints.append(slice_of([(address[0], True)], {"http": address[1]}))
        self.objects.services["default", name] = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        }
        self.objects.endpoint_slices["default", name] = endpoints

    def add(self, service: str, *, host: str = "a.com", path: str = "/", **annotations: str) -> tuple[str, ...]:
        """An Ingress; `_` stands for `-` in names of annotations. Gives the complaints."""
        made = object_of(f"i{len(self._ingresses)}", (host, "Prefix", path, to(service, 80)))
        made["metadata"]["annotations"] = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
        self._ingresses.append(made)
        table = build(self._ingresses, self.objects)
        self.ingress.proxy.apply(table)
        return tuple(complaint.message for complaint in table.complaints)

    async def get(self, *lines: str, method: str = "GET", path: str = "/") -> bytes:
        head = [f"{method} {path} HTTP/1.1", "Host: a.com", "Connection: close", *lines, "", ""]
        return await self.ingress.say("\r\n".join(head).encode())

    async def body(self, *lines: str) -> str:
        return (await self.get(*lines)).partition(b"\r\n\r\n")[2].decode()


def answering(text: str, code: int = 200, *lines: str) -> bytes:
    more = "".join(line + "\r\n" for line in lines)
    return f"HTTP/1.1 {code} X\r\n{more}Content-Length: {len(text)}\r\n\r\n{text}".encode()


@pytest.fixture
async def site(ingress: Ingress) -> AsyncIterator[Site]:
    async with contextlib.AsyncExitStack() as stack:
        yield Site(ingress, stack)


def headers(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


# Who may come.


@pytest.mark.parametrize(
    ("annotations", "code"),
    [
        ({"whitelist_source_range": "127.0.0.0/8"}, 200),
        ({"whitelist_source_range": "10.0.0.0/8, 127.0.0.1"}, 200),
        ({"allowlist_source_range": "10.0.0.0/8"}, 403),
        ({"denylist_source_range": "127.0.0.1/32"}, 403),
        ({"denylist_source_range": "10.0.0.0/8"}, 200),
        ({"whitelist_source_range": "10.0.0.0/40"}, 503),
        ({"auth_url": "http://x/"}, 503),
        ({"auth_type": "digest", "auth_secret": "s"}, 503),
        ({"auth_type": "basic", "auth_secret": "absent"}, 503),
        ({"auth_type": "basic", "auth_secret": "other/s"}, 503),
    ],
)
async def test_where_requests_may_come_from(site: Site, annotations: dict[str, str], code: int) -> None:
    await site.service("web")
    complaints = site.add("web", **annotations)
    assert bool(complaints) is (code == 503)
    answer = await site.get()
    assert status(answer) == code
    assert len(site.heard["web"]) == (code == 200)


async def test_behind_a_trusted_proxy_the_client_is_whom_it_names(site: Site) -> None:
    await site.service("web")
    site.add("web", whitelist_source_range="192.168.0.200")
    site.ingress.proxy.trust_forwarded = True
    assert status(await site.get("X-Forwarded-For: 192.168.0.200, 10.0.0.1")) == 200
    assert status(await site.get("X-Forwarded-For: 10.0.0.1, 192.168.0.200")) == 403
    site.ingress.proxy.trust_forwarded = False
    assert status(await site.get("X-Forwarded-For: 192.168.0.200")) == 403


HTPASSWD = {
    "apr1": "ana:$apr1$abcdefgh$ig.1Bvm8bU5bPL7u1XjVX0",
    "sha": "ana:{SHA}" + base64.b64encode(bytes.fromhex("e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4")).decode(),
    "bcrypt": "ana:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
}
PASSWORD = {"apr1": "secret", "sha": "secret", "bcrypt": "U*U"}


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def secret(version: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"uid": "u", "resourceVersion": version}, "data": encoded}


@pytest.mark.parametrize("kind", ["sha", "bcrypt"])
async def test_basic_authentication_lets_in_who_knows_the_password(site: Site, kind: str) -> None:
    await site.service("web")
    site.objects.secrets["default", "users"] = secret("1", auth=f"# people\nbob:x\n{HTPASSWD[kind]}\n")
    assert site.add("web", auth_type="basic", auth_secret="users", auth_realm="Only us") == ()
    answer = await site.get()
    assert status(answer) == 401
    assert headers(answer)["www-authenticate"] == 'Basic realm="Only us"'
    for wrong in (basic("ana", "nein"), basic("bob", "x"), basic("eve", PASSWORD[kind]), "Authorization: Basic !!"):
        assert status(await site.get(wrong)) == 401
    assert not site.heard["web"]
    for _ in range(2):
        assert status(await site.get(basic("ana", PASSWORD[kind]))) == 200


async def test_a_map_of_users_and_a_changed_secret(site: Site) -> None:
    await site.service("web")
    site.objects.secrets["default", "users"] = secret("1", ana=HTPASSWD["sha"].partition(":")[2])
    site.add("web", auth_type="basic", auth_secret="default/users", auth_secret_type="auth-map")
    assert status(await site.get(basic("ana", "secret"))) == 200
    site.objects.secrets["default", "users"] = secret("2", ana=HTPASSWD["bcrypt"].partition(":")[2])
    site.add("web", host="b.com")
    assert status(await site.get(basic("ana", "secret"))) == 401
    assert status(await site.get(basic("ana", "U*U"))) == 200


# What browsers of other origins may do.


async def test_cors_for_every_origin_answers_preflights_itself(site: Site) -> None:
    await site.service("web", answering("x", 200, "Access-Control-Allow-Origin: https://backend"))
    site.add("web", enable_cors="true", cors_max_age="600", cors_expose_headers="X-A, X-B")
    preflight = await site.get("Origin: https://x.org", method="OPTIONS")
    assert status(preflight) == 204
    assert not site.heard["web"]
    wanted = {
        "access-control-allow-origin": "*",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT, POST, DELETE, PATCH, OPTIONS",
        "access-control-expose-headers": "X-A, X-B",
        "access-control-max-age": "600",
    }
    assert headers(preflight).items() >= wanted.items()
    assert "Authorization" in headers(preflight)["access-control-allow-headers"]
    answer = await site.get("Origin: https://x.org")
    assert headers(answer).items() >= wanted.items()
    assert b"https://backend" not in answer


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.org", True), ("https://b.c.org", True), ("http://a.org", False), ("https://c.org", False),
        ("https://x.y.c.org", False), ("https://evil-a.org", False), ("https://b.c.org.evil.com", False),
    ],
)  # fmt: skip
async def test_cors_for_some_origins(site: Site, origin: str, allowed: bool) -> None:
    await site.service("web")
    site.add(
        "web", enable_cors="true", cors_allow_origin="https://a.org, https://*.c.org", cors_allow_credentials="false"
    )
    answer = await site.get(f"Origin: {origin}")
    assert headers(answer).get("access-control-allow-origin") == (origin if allowed else None)
    assert "access-control-allow-credentials" not in headers(answer)
    preflight = await site.get(f"Origin: {origin}", method="OPTIONS")
    assert status(preflight) == (204 if allowed else 200)  # who isn't allowed hears the backend


# Canaries.


async def test_a_canary_takes_its_weight(site: Site) -> None:
    await site.service("web")
    await site.service("next")
    site.add("web")
    site.add("next", canary="true", canary_weight="30")
    draws = iter([step / 100 for step in range(100)])
    site.ingress.proxy.draw = lambda: next(draws)
    said = await site.ingress.say(
        b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\n" * 99 + b"GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n"
    )
    assert Counter(re.findall(rb"\r\n\r\n(web|next)", said)) == {b"next": 30, b"web": 70}


async def test_a_canary_by_header_then_by_cookie_then_by_weight(site: Site) -> None:
    await site.service("web")
    await site.service("next")
    site.add("web")
    site.add("next", canary="true", canary_by_header="X-Next", canary_by_cookie="next", canary_weight="100")
    assert await site.body("x-next: never") == "web"
    assert await site.body("X-Next: always", "Cookie: next=never") == "next"
    assert await site.body("X-Next: perhaps", "Cookie: a=b; next=never") == "web"
    assert await site.body("Cookie: next=perhaps") == "next"


@pytest.mark.parametrize(
    ("rule", "value", "found"),
    [
        ({"canary_by_header_value": "beta"}, "beta", "next"),
        ({"canary_by_header_value": "beta"}, "always", "web"),
        ({"canary_by_header_pattern": "^v[23]$"}, "v3", "next"),
        ({"canary_by_header_pattern": "^v[23]$"}, "v4", "web"),
        ({"canary_by_header_pattern": "(("}, "v4", "web"),
    ],
)
async def test_a_canary_by_a_headers_value(site: Site, rule: dict[str, str], value: str, found: str) -> None:
    await site.service("web")
    await site.service("next")
    site.add("web")
    site.add("next", canary="true", canary_by_header="X-Next", **rule)
    assert await site.body(f"X-Next: {value}") == found


async def test_a_canary_without_a_path_to_join_is_nobodys(site: Site) -> None:
    await site.service("web")
    site.add("web")
    complaints = site.add("web", path="/other", canary="true", canary_weight="100")
    assert complaints == ("canary: no other Ingress has the path /other of host a.com",)


# Sessions.


async def test_a_session_stays_with_its_endpoint_until_that_is_gone(site: Site) -> None:
    await site.service("web", *(answering(name) for name in "abc"))
    site.add(
        "web", affinity="cookie", session_cookie_name="stay", session_cookie_max_age="60", session_cookie_samesite="Lax"
    )
    first = await site.get()
    cookie = headers(first)["set-cookie"]
    assert re.fullmatch(r"stay=[0-9a-f]{32}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax", cookie)
    pair = cookie.partition(";")[0]
    name = first[-1:].decode()
    for _ in range(4):
        again = await site.get(f"Cookie: x=y; {pair}")
        assert again[-1:].decode() == name
        assert "set-cookie" not in headers(again)
    del site.objects.endpoint_slices["default", "web"]["abc".index(name)]
    site.add("web", host="b.com")
    moved = await site.get(f"Cookie: {pair}")
    assert moved[-1:].decode() != name
    assert headers(moved)["set-cookie"].startswith("stay=")
    assert "set-cookie" in headers(await site.get("Cookie: stay=nonsense"))


async def test_a_session_that_began_with_a_canary_stays_there(site: Site) -> None:
    await site.service("web")
    await site.service("next")
    site.add("web", affinity="cookie")
    site.add("next", canary="true", canary_by_header="X-Next")
    first = await site.get("X-Next: always")
    assert first.endswith(b"next")
    cookie = headers(first)["set-cookie"].partition(";")[0]
    assert await site.body(f"Cookie: {cookie}") == "next"
    assert await site.body("X-Next: never", f"Cookie: {cookie}") == "next"


# Trying again.


async def test_answers_that_ask_for_it_are_tried_elsewhere(site: Site) -> None:
    await site.service("web", answering("bad", 503), answering("good"))
    site.add("web", proxy_next_upstream="error http_503")
    for _ in range(2):
        assert (await site.get()).endswith(b"good")
    assert {status(await site.get(method="POST")) for _ in range(2)} == {200, 503}


async def test_no_endpoint_is_tried_twice_where_that_is_turned_off(site: Site) -> None:
    await site.service("web", answering("bad", 503), answering("good"))
    site.add("web", proxy_next_upstream="off")
    assert {status(await site.get()) for _ in range(2)} == {200, 503}
    await site.service("web", OK)
    assert site.add("web", proxy_next_upstream="error sometimes") != ()


# What is refused.


@pytest.mark.parametrize("name", ["server-snippet", "configuration-snippet", "auth-snippet", "stream-snippet"])
async def test_an_ingress_with_a_snippet_is_refused_by_name(site: Site, name: str) -> None:
    await site.service("web")
    arguments: dict[str, Any] = {name: "return 200;"}
    complaints = site.add("web", **arguments)
    assert complaints == (
        f"nginx.ingress.kubernetes.io/{name} annotation cannot be used. "
        "Snippet directives are disabled by the Ingress administrator",
    )
    assert status(await site.get()) == 404
    assert not site.heard["web"]


async def test_codes_of_redirects(site: Site) -> None:
    await site.service("web")
    site.add("web", permanent_redirect="https://x.org/", permanent_redirect_code="308")
    assert status(await site.get()) == 308
