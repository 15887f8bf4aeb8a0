"""Discovery tells exactly the recorded groups, versions and resources, in both of its forms."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from panal.controlplane.apiserver import discovery, metricsapi
from panal.controlplane.apiserver.negotiation import Form
from panal.resources import discovery as recorded

AGGREGATED = Form("application/json", "APIGroupDiscoveryList", "v2")


def ask(path: str, form: Form | None = None) -> Any:
    answer = discovery.serve(path, form or Form(), "192.168.0.100:6443")
    assert answer is not None
    assert answer.status == 200
    return orjson.loads(answer.body)


def test_the_core_group_says_where_the_server_is() -> None:
    assert ask("/api") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "192.168.0.100:6443"}],
    }


def test_groups_come_in_the_recorded_order_with_the_recorded_preferences() -> None:
    groups = [
        {"name": each["name"], "versions": [one["version"] for one in each["versions"]],
         "preferred": each["preferredVersion"]["version"]}
        for each in ask("/apis")["groups"]
    ]  # fmt: skip
    assert groups == [*recorded()["groups"], metricsapi.DISCOVERY]


@pytest.mark.parametrize("group_version", sorted(recorded()["resources"]))
def test_a_version_lists_the_recorded_resources(group_version: str) -> None:
    listed = ask(f"/{'apis' if '/' in group_version else 'api'}/{group_version}")
    assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", group_version)
    found = [{key: value for key, value in each.items() if key != "storageVersionHash"} for each in listed["resources"]]
    assert found == recorded()["resources"][group_version]


def _flat(group: str, version: str, resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Aggregated resources as the legacy form lists them."""
    found = {}
    for each in resources:
        scope = each.get("scope") == "Namespaced"
        if "responseKind" in each:
            found[each["resource"]] = {
                "name": each["resource"], "singularName": each["singularResource"], "namespaced": scope,
                "kind": each["responseKind"]["kind"], "verbs": each["verbs"],
                **{key: each[key] for key in ("shortNames", "categories") if key in each},
            }  # fmt: skip
        for below in each.get("subresources", ()):
            kind = below["responseKind"]
            other = (kind["group"], kind["version"]) != (group, version)
            found[f"{each['resource']}/{below['subresource']}"] = {
                "name": f"{each['resource']}/{below['subresource']}", "singularName": "", "namespaced": scope,
                "kind": kind["kind"], "verbs": below["verbs"],
                **({"version": kind["version"]} if other else {}),
                **({"group": kind["group"]} if other and kind["group"] else {}),
            }  # fmt: skip
    return found


def test_the_aggregated_form_says_the_same() -> None:
    items = ask("/api", AGGREGATED)["items"] + ask("/apis", AGGREGATED)["items"]
    assert [each["metadata"].get("name", "") for each in items] == [
        "",
        *(each["name"] for each in recorded()["groups"]),
        metricsapi.GROUP,
    ]
    known = recorded()["resources"]
    for item in items:
        group = item["metadata"].get("name", "")
        for version in item["versions"]:
            name = f"{group}/{version['version']}" if group else version["version"]
            wanted = {each["name"]: each for each in known.get(name, metricsapi.RESOURCES)}
            assert _flat(group, version["version"], version["resources"]) == wanted, name


def test_the_aggregated_form_names_itself_and_has_a_hash() -> None:
    answer = discovery.serve("/apis", AGGREGATED, "")
    assert answer is not None
    assert answer.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert answer.headers["ETag"].startswith('"')


@pytest.mark.parametrize("path", ["/apis/nada.io", "/apis/nada.io/v1", "/apis/apps/v9"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    answer = discovery.serve(path, Form(), "")
    assert answer is not None
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
