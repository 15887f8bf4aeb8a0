"""Which form a client gets."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.negotiation import JSON, YAML, Form, accept
from panal.errors import NotAcceptable

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", Form()),
        ("*/*", Form()),
        ("application/*", Form()),
        ("application/yaml", Form(YAML)),
        ("application/json, */*", Form()),
        ("text/html,application/xhtml+xml,application/yaml;q=0.9", Form(YAML)),
        (f"{TABLE},application/json", Form(JSON, "Table", "v1")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Form()),
        (
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
            Form(JSON, "PartialObjectMetadataList", "v1"),
        ),
        (
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
            Form(JSON, "APIGroupDiscoveryList", "v2"),
        ),
    ],
)  # fmt: skip
def test_the_first_form_that_can_be_served_wins(header: str, form: Form) -> None:
    assert accept(header) == form


@pytest.mark.parametrize("header", ["text/plain", "application/json;as=Pod", "application/json;as=Table;v=v1;g=apps"])
def test_a_form_that_nobody_makes_is_not_acceptable(header: str) -> None:
    with pytest.raises(NotAcceptable, match="406: Not Acceptable\n\nAvailable representations: application/json"):
        accept(header)


def test_a_review_is_no_table() -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    with pytest.raises(NotAcceptable):
        accept(table, tables=False)
    assert accept(f"{table},application/json", tables=False) == Form(JSON)


def test_a_discovery_form_names_itself() -> None:
    form = accept("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    assert form.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert Form().content_type == "application/json"
