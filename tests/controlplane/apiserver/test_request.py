"""From a method and a path to a verb on a resource; revisions; places in the store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panal.controlplane.apiserver import keys
from panal.controlplane.apiserver.request import Query, Target, parse
from panal.controlplane.apiserver.revisions import parse_revision
from panal.errors import BadRequest, StatusError
from panal.resources import NODES, PODS, resource


def ask(method: str, path: str, query: str = "") -> tuple[str, ...]:
    found = parse(method, path, Query(query))
    return tuple(
        part
        for part in (found.verb, found.group, found.resource, found.namespace, found.name, found.subresource)
        if part
    )


@pytest.mark.parametrize(
    ("method", "path", "query", "meant"),
    [
        ("GET", "/api/v1/pods", "", ("list", "pods")),
        ("GET", "/api/v1/pods", "watch=1", ("watch", "pods")),
        ("GET", "/api/v1/pods", "watch=false", ("list", "pods")),
        ("GET", "/api/v1/namespaces/shop/pods/web", "", ("get", "pods", "shop", "web")),
        ("HEAD", "/api/v1/namespaces/shop/pods/web", "", ("get", "pods", "shop", "web")),
        ("DELETE", "/api/v1/namespaces/shop/pods", "", ("deletecollection", "pods", "shop")),
        ("DELETE", "/api/v1/namespaces/shop/pods/web", "", ("delete", "pods", "shop", "web")),
        ("POST", "/apis/apps/v1/namespaces/shop/deployments", "", ("create", "apps", "deployments", "shop")),
        (
            "PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/scale", "",
            ("patch", "apps", "deployments", "shop", "web", "scale"),
        ),
        ("GET", "/api/v1/namespaces/shop", "", ("get", "namespaces", "shop", "shop")),
        ("PUT", "/api/v1/namespaces/shop/finalize", "", ("update", "namespaces", "shop", "shop", "finalize")),
        ("GET", "/api/v1/namespaces/shop/pods/", "", ("list", "pods", "shop")),
        ("GET", "/api/v1/nodes/n%2F1", "", ("get", "nodes", "n/1")),
        ("GET", "/healthz", "", ("get",)),
        ("GET", "/apis/apps", "", ("get",)),
    ],
)  # fmt: skip
def test_a_path_means_a_verb_on_a_resource(method: str, path: str, query: str, meant: tuple[str, ...]) -> None:
    assert ask(method, path, query) == meant


@pytest.mark.parametrize("path", ["/api/v1/namespaces//pods", "/api/v1/namespaces/../pods", "/api/v1/pods/./x"])
def test_a_path_with_dots_or_holes_leads_nowhere(path: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse("GET", path, Query(""))
    assert caught.value.code == 404


@given(st.text(max_size=60), st.sampled_from(["GET", "POST", "DELETE"]))
def test_any_path_is_a_target_or_not_found(path: str, method: str) -> None:
    try:
        found = parse(method, "/" + path, Query(""))
    except StatusError as error:
        code = error.code
    else:
        code = 404 if isinstance(found, Target) else 0
    assert code == 404


def test_parameters_are_flags_numbers_and_texts() -> None:
    query = Query("force&dry=false&limit=5&limit=6&bad=x")
    assert (query.flag("force"), query.flag("dry"), query.flag("none")) == (True, False, False)
    assert (query.integer("limit"), query.integer("none")) == (5, None)
    with pytest.raises(BadRequest, match=r'strconv\.ParseInt: parsing "x": invalid syntax'):
        query.integer("bad")
    with pytest.raises(BadRequest):
        Query("&".join(f"a{index}=1" for index in range(1000)))


def test_a_revision_is_a_number_that_fits() -> None:
    assert (parse_revision(""), parse_revision("0"), parse_revision("12")) == (0, 0, 12)
    for text in ("-1", "x", "9" * 20, "١"):
        with pytest.raises(BadRequest, match="invalid resource version"):
            parse_revision(text)


def test_an_object_has_one_place_whatever_its_version() -> None:
    assert keys.location(PODS).key("shop", "web") == "/registry/core/pods/shop/web"
    assert keys.location(NODES).key("", "n") == "/registry/core/nodes/n"
    assert keys.location(resource("events", "events.k8s.io")) == keys.location(resource("events", ""))
    for place, namespace, name in ((keys.location(PODS), "shop", "web"), (keys.location(NODES), "", "n")):
        assert keys.parse(place.key(namespace, name)) == (place, namespace, name)
