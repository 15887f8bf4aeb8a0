"""Ingresses become routes: whose they are, which is heard first, where their requests go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from panal.proxy.ingress.annotations import options
from panal.proxy.ingress.build import Selection, build, selects, services_of
from panal.proxy.ingress.routes import RouteTable

Object = dict[str, Any]


class Objects:
    """A View of a few objects."""

    def __init__(self) -> None:
        self.services: dict[tuple[str, str], Object] = {}
        self.endpoint_slices: dict[tuple[str, str], list[Object]] = {}
        self.certificates: set[tuple[str, str]] = set()
        self.secrets: dict[tuple[str, str], Object] = {}

    def service(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self.services.get((namespace, name))

    def slices(self, namespace: str, service: str) -> Iterable[Mapping[str, Any]]:
        return self.endpoint_slices.get((namespace, service), ())

    def auth_secret(self, namespace: str, secret: str) -> Mapping[str, Any] | None:
        return self.secrets.get((namespace, secret))

    def has_certificate(self, namespace: str, secret: str) -> bool:
        return (namespace, secret) in self.certificates


@pytest.fixture
def view() -> Objects:
    objects = Objects()
    ports = [{"name": "http", "port": 8080, "targetPort": 80}, {"name": "admin", "port": 9000}]
    objects.services["default", "web"] = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.10.1.102", "ports": ports},
    }
    objects.services["default", "api"] = {
        "metadata": {"name": "api", "namespace": "default"},
        "spec": {"clusterIP": "10.10.1.103", "ports": [{"port": 80}]},
    }
    objects.services["default", "outside"] = {
        "metadata": {"name": "outside", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 80}]},
    }
    objects.endpoint_slices["default", "web"] = [
        slice_of([("10.10.0.6", True), ("10.10.0.5", None)], {"http": 80, "admin": 9001}),
        slice_of([("10.10.0.7", True), ("10.10.0.8", False)], {"http": 80}),
    ]
    objects.endpoint_slices["default", "api"] = [slice_of([("10.10.0.9", True)], {"": 5000})]
    return objects


def slice_of(endpoints: list[tuple[str, bool | None]], ports: Mapping[str, int]) -> Object:
    return {
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [ip], "conditions": {} if ready is None else {"ready": ready}} for ip, ready in endpoints
        ],
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()],
    }


def backend(service: str = "web", port: int | str = 8080) -> Object:
    return {"service": {"name": service, "port": {"number" if isinstance(port, int) else "name": port}}}


def ingress(name: str, *rules: tuple[str, str, str, Object], default: Object | None = None, **more: Any) -> Object:
    """`rules` are host, path type, path and backend."""
    spec: Object = {"rules": []}
    for host, kind, path, target in rules:
        http = {"paths": [{"path": path, "pathType": kind, "backend": target}]}
        spec["rules"].append({**({"host": host} if host else {}), "http": http})
    if default:
        spec["defaultBackend"] = default
    if "tls" in more:
        spec["tls"] = more["tls"]
    annotations = more.get("annotations", {})
    metadata = {
        "name": name,
        "namespace": "default",
        "creationTimestamp": more.get("created", "2026-01-01T00:00:00Z"),
        "annotations": {f"nginx.ingress.kubernetes.io/{key}": value for key, value in annotations.items()},
    }
    return {"metadata": metadata, "spec": spec}


def leads(table: RouteTable, host: str, path: str = "/") -> str | None:
    route = table.find(host, path)
    return None if route is None else route.backend.name.removeprefix("default-")


def test_requests_go_to_the_ready_endpoints_of_the_port(view: Objects) -> None:
    table = build(
        [
            ingress(
                "i",
                ("a.com", "Prefix", "/", backend("web", 8080)),
                ("b.com", "Prefix", "/", backend("web", "admin")),
                ("c.com", "Prefix", "/", backend("api", 80)),
                ("d.com", "Prefix", "/", backend("outside", 80)),
            )
        ],
        view,
    )

    def endpoints(host: str) -> tuple[tuple[str, int], ...]:
        route = table.find(host, "/")
        assert route is not None
        return route.backend.endpoints

    assert endpoints("a.com") == (("10.10.0.5", 80), ("10.10.0.6", 80), ("10.10.0.7", 80))
    assert endpoints("b.com") == (("10.10.0.5", 9001), ("10.10.0.6", 9001))
    assert endpoints("c.com") == (("10.10.0.9", 5000),)
    assert endpoints("d.com") == (("example.org", 80),)
    assert ("10.10.0.9", 5000) in table.backends


def test_an_annotation_sends_requests_through_the_service(view: Objects) -> None:
    table = build([ingress("i", ("a.com", "Prefix", "/", backend()), annotations={"service-upstream": "true"})], view)
    route = table.find("a.com", "/")
    assert route is not None
    assert route.backend.endpoints == (("10.10.1.102", 8080),)


@pytest.mark.parametrize("target", [backend("absent"), backend("web", 1234), backend("web", "nothing"), {}])
def test_a_backend_that_is_not_there_has_no_endpoints(view: Objects, target: Object) -> None:
    route = build([ingress("i", ("a.com", "Prefix", "/", target))], view).find("a.com", "/")
    assert route is not None
    assert route.backend.endpoints == ()


PATHS = [
    # rules as (type, path), the path asked for, the rule that answers
    ([("Exact", "/foo")], "/foo", 0),
    ([("Exact", "/foo")], "/foo/", None),
    ([("Exact", "/foo/")], "/foo", None),
    ([("Prefix", "/")], "/anything", 0),
    ([("Prefix", "/foo")], "/foo", 0),
    ([("Prefix", "/foo")], "/foo/", 0),
    ([("Prefix", "/foo/")], "/foo", 0),
    ([("Prefix", "/foo")], "/foo/bar", 0),
    ([("Prefix", "/foo")], "/foobar", None),
    ([("Prefix", "/aaa/bb")], "/aaa/bbb", None),
    ([("Prefix", "/"), ("Prefix", "/aaa")], "/aaa/ccc", 1),
    ([("Prefix", "/"), ("Prefix", "/aaa"), ("Prefix", "/aaa/bbb")], "/aaa/bbb", 2),
    ([("Prefix", "/"), ("Prefix", "/aaa"), ("Prefix", "/aaa/bbb")], "/ccc", 0),
    ([("Prefix", "/foo"), ("Exact", "/foo")], "/foo", 1),
    ([("Exact", "/foo"), ("Prefix", "/foo")], "/foo/bar", 1),
    ([("ImplementationSpecific", "/foo")], "/foobar", 0),
    ([("ImplementationSpecific", "/foo"), ("Prefix", "/foo/bar")], "/foo/bar/x", 1),
    ([("ImplementationSpecific", "/foo/bar"), ("Prefix", "/foo")], "/foo/barx", 0),
]


@pytest.mark.parametrize(("rules", "path", "winner"), PATHS, ids=str)
def test_which_path_wins(view: Objects, rules: list[tuple[str, str]], path: str, winner: int | None) -> None:
    targets = [backend("web", 8080), backend("web", "admin"), backend("api", 80)]
    found = [("a.com", kind, text, targets[i]) for i, (kind, text) in enumerate(rules)]
    names = ["web-8080", "web-admin", "api-80"]
    assert leads(build([ingress("i", *found)], view), "a.com", path) == (None if winner is None else names[winner])


def test_which_host_wins(view: Objects) -> None:
    table = build(
        [
            ingress(
                "i",
                ("*.foo.com", "Prefix", "/", backend("web", 8080)),
                ("Bar.foo.com", "Prefix", "/only", backend("web", "admin")),
                ("", "Prefix", "/", backend("api", 80)),
            )
        ],
        view,
    )
    assert leads(table, "x.foo.com") == "web-8080"
    assert leads(table, "bar.foo.com", "/only") == "web-admin"
    assert leads(table, "bar.foo.com", "/other") is None  # its own rules, never those of another host
    assert leads(table, "x.y.foo.com") == "api-80"  # a wildcard is one label
    assert leads(table, "foo.com") == "api-80"
    assert leads(table, "") == "api-80"


def test_default_backends(view: Objects) -> None:
    table = build(
        [
            ingress("all", default=backend("api", 80)),
            ingress("mine", ("a.com", "Prefix", "/x", backend()), default=backend("web", "admin")),
        ],
        view,
    )
    assert leads(table, "a.com", "/x") == "web-8080"
    assert leads(table, "a.com", "/y") == "web-admin"
    assert leads(table, "b.com", "/y") == "api-80"
    assert leads(build([], view), "b.com") is None


def test_the_older_of_two_ingresses_is_heard(view: Objects) -> None:
    old = ingress("z", ("a.com", "Prefix", "/", backend("api", 80)), created="2025-01-01T00:00:00Z")
    new = ingress("a", ("a.com", "Prefix", "/", backend()))
    assert leads(build([new, old], view), "a.com") == "api-80"


def test_certificates_are_found_by_name_and_by_wildcard(view: Objects) -> None:
    view.certificates = {("default", "one"), ("default", "wild")}
    tls = [
        {"hosts": ["a.com"], "secretName": "one"},
        {"hosts": ["*.foo.com"], "secretName": "wild"},
        {"hosts": ["b.com"], "secretName": "absent"},
    ]
    table = build([ingress("i", ("a.com", "Prefix", "/", backend()), tls=tls)], view)
    assert table.certificate("a.com") == "default/one"
    assert table.certificate("x.foo.com") == "default/wild"
    assert table.certificate("b.com") is None
    assert table.certificate("y.x.foo.com") is None
    assert tuple(map(str, table.complaints)) == ("Ingress default/i: no certificate in Secret default/absent",)
    route = table.find("a.com", "/")
    assert route is not None
    assert route.tls


@pytest.mark.parametrize(
    ("path", "target", "asked", "sent"),
    [
        ("/old(/|$)(.*)", "/$2", b"/old/a/b?c=d", b"/a/b?c=d"),
        ("/old(/|$)(.*)", "/$2", b"/old", b"/"),
        ("/old/([0-9]+)", "/new/$1/$7", b"/old/42", b"/new/42/"),
        ("/old", "/new", b"/old?x", b"/new?x"),
        ("/(.*)", "/$1", b"/a%0d%0aX:%20y", b"/a%0D%0AX:%20y"),
        ("/(.*)", "/$1", b"/50%25%3f%23", b"/50%25%3F%23"),
    ],
)
def test_paths_are_rewritten(view: Objects, path: str, target: str, asked: bytes, sent: bytes) -> None:
    from panal.proxy.ingress.heads import plain_path

    annotations = {"rewrite-target": target}
    kind = "ImplementationSpecific"
    table = build([ingress("i", ("a.com", kind, path, backend()), annotations=annotations)], view)
    route = table.find("a.com", plain_path(asked))
    assert route is not None
    assert route.rewritten(asked, plain_path(asked)) == sent


def test_a_path_that_is_no_regular_expression_is_left_out_with_a_complaint(view: Objects) -> None:
    rule = ("a.com", "ImplementationSpecific", "/(", backend())
    table = build([ingress("i", rule, annotations={"use-regex": "true"})], view)
    assert table.find("a.com", "/(") is None
    assert "is no regular expression" in str(table.complaints[0])


def test_annotations_that_make_no_sense_are_ignored_with_a_complaint() -> None:
    found, complaints = options(
        {
            "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
            "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
            "panal.dev/service-upstream": "true",
            "nginx.ingress.kubernetes.io/ssl-redirect": "yes",
            "nginx.ingress.kubernetes.io/proxy-connect-timeout": "0",
            "nginx.ingress.kubernetes.io/permanent-redirect": "http://x/\r\nSet-Cookie: a=b",
            "nginx.ingress.kubernetes.io/auth-url": "http://x",
            "example.org/unknown": "whatever",
        }
    )
    assert found.denied  # by the annotation that would have asked who comes
    assert (found.body_size, found.read_timeout, found.service_upstream) == (8 << 20, 3600.0, True)
    assert (found.ssl_redirect, found.connect_timeout, found.permanent_redirect) == (True, 5.0, "")
    assert len(complaints) == 4
    assert complaints[-1] == "annotation nginx.ingress.kubernetes.io/auth-url is not supported"


OURS = {"metadata": {"name": "panal"}, "spec": {"controller": "panal.dev/ingress-controller"}}
DEFAULT = {
    "metadata": {"name": "panal", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
    "spec": {"controller": "panal.dev/ingress-controller"},
}
OTHER = {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}


@pytest.mark.parametrize(
    ("spec", "annotation", "classes", "ours"),
    [
        ({"ingressClassName": "panal"}, None, [OURS, OTHER], True),
        ({"ingressClassName": "nginx"}, None, [OURS, OTHER], False),
        ({"ingressClassName": "panal"}, None, [OTHER], False),
        ({}, None, [OURS], False),
        ({}, None, [DEFAULT], True),
        ({}, "panal", [], True),
        ({}, "nginx", [DEFAULT], False),
        ({"ingressClassName": "nginx"}, "panal", [OURS, OTHER], False),
    ],
)
def test_whose_an_ingress_is(spec: Object, annotation: str | None, classes: list[Object], ours: bool) -> None:
    selection = Selection("panal.dev/ingress-controller", "panal")
    annotations = {"kubernetes.io/ingress.class": annotation} if annotation else {}
    assert selects(selection, {"metadata": {"annotations": annotations}, "spec": spec}, classes) is ours


def test_the_services_an_ingress_needs() -> None:
    found = ingress("i", ("a.com", "Prefix", "/", backend("web")), ("", "Prefix", "/", {}), default=backend("api"))
    assert services_of(found) == {("default", "web"), ("default", "api")}
