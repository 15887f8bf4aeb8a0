"""OpenShift's Routes: who has a host, how backends share it, and where TLS ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from panal.proxy.ingress import openshift
from panal.proxy.ingress.build import build
from panal.proxy.ingress.passthrough import server_name
from panal.proxy.ingress.tls import Certificates, fake_certificate, key_pair

from .conftest import LAST, Ingress, saying, serving, status
from .conftest import backend as serving_backend
from .test_annotations import answering
from .test_build import Objects, slice_of

Object = dict[str, Any]
DOMAIN = "apps.miempresa.com"


def route(name: str, *, namespace: str = "default", age: int = 0, **spec: Any) -> Object:
    created = f"2026-01-01T00:00:{age:02}Z"
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created, "resourceVersion": "1"},
        "spec": {"to": {"kind": "Service", "name": "one"}, **spec},
    }


def certificate(name: str) -> tuple[str, str]:
    """Self-signed, for a DNS name; certificate and key in PEM."""
    pem, key = fake_certificate(datetime.datetime.now(datetime.UTC), name)
    return pem.decode(), key.decode()


def test_the_oldest_route_has_the_host_and_its_namespace_with_it() -> None:
    routes = [
        route("young", age=5, host="a.com"),
        route("old", age=1, host="A.com"),
        route("path", age=6, host="a.com", path="/x"),
        route("foreign", namespace="other", age=7, host="a.com", path="/y"),
        route("nameless", age=8),
        route("sub", age=8, subdomain="www"),
        route("deep", age=9, host="b.com", path="/x", tls={"termination": "passthrough"}),
        route("odd", age=9, host="a b.com"),
        route("bare", age=9, host="c.com", path="x"),
    ]
    found = {
        item.route["metadata"]["name"]: (item.host, item.reason, item.message)
        for item in openshift.admit(routes, DOMAIN)
    }
    assert found == {
        "old": ("a.com", "", ""),
        "young": ("a.com", "HostAlreadyClaimed", "route old already exposes a.com and is older"),
        "path": ("a.com", "", ""),
        "foreign": (
            "a.com", "HostAlreadyClaimed", "a route in another namespace holds a.com and is older than foreign",
        ),
        "nameless": (f"nameless-default.{DOMAIN}", "", ""),
        "sub": (f"www.{DOMAIN}", "", ""),
        "odd": (
            "a b.com", "ExtendedValidationFailed",
            'spec.host: Invalid value: "a b.com": host must conform to DNS naming conventions',
        ),
        "bare": ("c.com", "ExtendedValidationFailed", 'spec.path: Invalid value: "x": path must begin with /'),
        "deep": (
            "b.com", "ExtendedValidationFailed",
            "spec.path: Invalid value: passthrough termination does not support paths",
        ),
    }  # fmt: skip


def test_the_status_says_once_that_a_route_is_admitted() -> None:
    (admission,) = openshift.admit([route("a", host="a.com")], DOMAIN)
    said = openshift.status(admission, "router-default.apps", "2026-01-01T00:00:00Z")
    assert said == {
        "ingress": [
            {
                "host": "a.com",
                "routerName": "default",
                "routerCanonicalHostname": "router-default.apps",
                "wildcardPolicy": "None",
                "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            }
        ]
    }
    (again,) = openshift.admit([{**route("a", host="a.com"), "status": said}], DOMAIN)
    assert openshift.status(again, "router-default.apps", "2027-01-01T00:00:00Z") is None
    other = {
        **route("a", host="b.com"),
        "status": {"ingress": [*said["ingress"], {"routerName": "shard", "host": "b.com"}]},
    }
    (moved,) = openshift.admit([other], DOMAIN)
    changed = openshift.status(moved, "router-default.apps", "2027-01-01T00:00:00Z")
    assert changed is not None
    assert [item["routerName"] for item in changed["ingress"]] == ["shard", "default"]


class Site:
    """Routes before backends of three Services, plain and with TLS of their own."""

    def __init__(self, ingress: Ingress, objects: Objects) -> None:
        self.ingress, self.objects = ingress, objects
        self.routes: dict[str, Object] = {}

    def apply(self, *routes: Object) -> None:
        self.routes = {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item for item in routes}
        admitted = [item for item in openshift.admit(routes, DOMAIN) if not item.reason]
        self.ingress.proxy.apply(build([], self.objects, admitted))

    def secret(self, name: str) -> Any:
        found = self.routes.get(name.removeprefix(openshift.SECRET))
        return openshift.certificate_of(found) if found else None

    async def secure(self, host: str, trusted: str = "") -> tuple[bytes, bytes]:
        """The answer by TLS, and the certificate that was shown."""
        context = ssl.create_default_context(cadata=trusted or None)
        if not trusted:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=host)
        writer.write(LAST.replace(b"a.com", host.encode()))
        answer = await asyncio.wait_for(reader.read(), 10)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return answer, shown

    port = 0


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with contextlib.AsyncExitStack() as stack:
        objects = Objects()
        ingress = await stack.enter_async_context(serving())
        found = Site(ingress, objects)
        ingress.server._certificates = Certificates(lambda name: ingress.proxy.table.certificate(name), found.secret)
        found.port = await ingress.server.listen("127.0.0.1", 0, told_port=443, tls=True)
        for name in ("one", "two"):
            address = await stack.enter_async_context(serving_backend(saying(answering(name))))
            serve(objects, name, address)
        yield found


def serve(objects: Objects, name: str, address: tuple[str, int]) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    objects.services["default", name] = {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports}}
    objects.endpoint_slices["default", name] = [slice_of([(address[0], True)], {"http": address[1]})]


async def own_tls(stack: contextlib.AsyncExitStack, tmp_path: Path, name: str) -> tuple[tuple[str, int], str]:
    """A backend that ends TLS itself, with a certificate for `name`."""
    pem, key = certificate(name)
    (tmp_path / "pem").write_text(pem + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    talk = saying(answering("secret"), keep=False)
    server = await asyncio.start_server(lambda r, w: _quiet(talk, r, w), "127.0.0.1", 0, ssl=context)
    stack.callback(server.close)
    return server.sockets[0].getsockname()[:2], pem


async def _quiet(talk: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await talk(reader, writer)
    writer.close()


async def test_backends_get_requests_by_their_weight(site: Site) -> None:
    both = {"alternateBackends": [{"kind": "Service", "name": "two", "weight": 10}]}
    site.apply(route("r", host="a.com", to={"kind": "Service", "name": "one", "weight": 30}, **both))
    said = Counter([(await site.ingress.say(LAST))[-3:] for _ in range(8)])
    assert said == {b"one": 6, b"two": 2}
    site.objects.endpoint_slices["default", "one"] = []
    site.apply(route("r", host="a.com", to={"kind": "Service", "name": "one", "weight": 30}, **both))
    assert (await site.ingress.say(LAST)).endswith(b"two")
    site.apply(route("r", host="a.com", to={"kind": "Service", "name": "two", "weight": 0}))
    assert status(await site.ingress.say(LAST)) == 503


async def test_a_path_and_a_port_by_its_target(site: Site) -> None:
    site.apply(
        route("whole", host="a.com", port={"targetPort": 8080}),
        route("part", host="a.com", path="/two", to={"kind": "Service", "name": "two"}, port={"targetPort": "http"}),
        route("wrong", host="b.com", port={"targetPort": 9}),
    )
    assert (await site.ingress.say(LAST)).endswith(b"one")
    assert (await site.ingress.say(LAST.replace(b"GET /", b"GET /two/x"))).endswith(b"two")
    assert (await site.ingress.say(LAST.replace(b"GET /", b"GET /twofold"))).endswith(b"one")
    assert status(await site.ingress.say(LAST.replace(b"a.com", b"b.com"))) == 503


async def test_edge_ends_tls_with_the_routes_own_certificate(site: Site) -> None:
    pem, key = certificate("a.com")
    tls = {"termination": "edge", "certificate": pem, "key": key}
    site.apply(route("r", host="a.com", tls=tls))
    answer, shown = await site.secure("a.com", pem)
    assert answer.endswith(b"one")
    assert ssl.DER_cert_to_PEM_cert(shown).strip() == pem.strip()
    assert status(await site.ingress.say(LAST)) == 503  # insecure traffic: None
    site.apply(route("r", host="a.com", tls={**tls, "insecureEdgeTerminationPolicy": "Redirect"}))
    moved = await site.ingress.say(LAST)
    assert status(moved) == 302
    assert b"Location: https://a.com/\r\n" in moved
    site.apply(route("r", host="a.com", tls={**tls, "insecureEdgeTerminationPolicy": "Allow"}))
    assert (await site.ingress.say(LAST)).endswith(b"one")
    site.apply(route("r", host="a.com"))
    assert status((await site.secure("a.com"))[0]) == 503  # a Route without TLS is none with it
    assert key_pair(openshift.certificate_of(route("r", tls=tls)))[0].decode().strip() == pem.strip()


async def test_reencrypt_asks_the_backend_by_tls_and_knows_it(site: Site, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        address, ca = await own_tls(stack, tmp_path, "safe.default.svc")
        serve(site.objects, "safe", address)
        tls = {"termination": "reencrypt", "destinationCACertificate": ca}
        to = {"kind": "Service", "name": "safe"}
        site.apply(route("r", host="a.com", to=to, tls=tls))
        for _ in range(2):
            assert (await site.secure("a.com"))[0].endswith(b"secret")
        stranger, _ = certificate("safe.default.svc")
        site.apply(route("r", host="a.com", to=to, tls={**tls, "destinationCACertificate": stranger}))
        site.ingress.proxy.pool.retain(frozenset())
        assert status((await site.secure("a.com"))[0]) == 502


async def test_passthrough_leaves_tls_to_the_backend(site: Site, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        address, ca = await own_tls(stack, tmp_path, "a.com")
        serve(site.objects, "safe", address)
        to = {"kind": "Service", "name": "safe"}
        site.apply(
            route("r", host="a.com", to=to, tls={"termination": "passthrough"}),
            route("e", host="b.com", tls={"termination": "edge"}),
        )
        answer, shown = await site.secure("a.com", ca)
        assert answer.endswith(b"secret")
        assert ssl.DER_cert_to_PEM_cert(shown).strip() == ca.strip()
        assert (await site.secure("b.com"))[0].endswith(b"one")  # others end here as before
        site.objects.endpoint_slices["default", "safe"] = []
        site.apply(route("r", host="a.com", to=to, tls={"termination": "passthrough"}))
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await site.secure("a.com")


async def test_a_client_hello_is_read_however_it_comes() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="Shop.Miempresa.com")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    assert server_name(hello) == "shop.miempresa.com"
    assert [server_name(hello[:cut]) for cut in (0, 4, len(hello) - 1)] == [None] * 3
    for nonsense in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\x01\x02"):
        with pytest.raises(ValueError, match=r"no TLS|no ClientHello"):
            server_name(nonsense)
    for cut in range(10, len(hello)):  # lengths that lie read nothing that is not there
        short = hello[:3] + (cut - 5).to_bytes(2, "big") + hello[5:cut]
        assert "shop.miempresa.com".startswith(server_name(short) or "")
