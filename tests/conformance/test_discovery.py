"""Discovery and OpenAPI documents: complete, and not sent again to who has them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from .conftest import Api, Target

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("path", "accept"),
    [("/api", AGGREGATED), ("/apis", AGGREGATED), ("/openapi/v2", "application/json"), ("/openapi/v3", "*/*")],
)
async def test_a_document_is_not_sent_twice(api: Api, path: str, accept: str) -> None:
    first = (await api.get(path, Accept=accept)).ok()
    again = await api.get(path, Accept=accept, If_None_Match=first.headers["ETag"])
    assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (await api.get(path, Accept=accept, If_None_Match='"other"')).status == 200


async def test_both_forms_of_discovery_name_the_same_resources(api: Api) -> None:
    whole = (await api.get("/apis", Accept=AGGREGATED)).ok().body
    for group in whole["items"]:
        for version in group["versions"]:
            path = f"/apis/{group['metadata']['name']}/{version['version']}"
            legacy = (await api.get(path)).ok().body
            plain = {entry["name"] for entry in legacy["resources"] if "/" not in entry["name"]}
            assert {entry["resource"] for entry in version["resources"]} == plain, path


async def test_each_group_has_its_document_at_an_address_that_may_be_kept(api: Api) -> None:
    index = (await api.get("/openapi/v3")).ok().body["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/batch/v1"} <= set(index)
    answer = (await api.get(index["apis/apps/v1"]["serverRelativeURL"])).ok()
    assert "io.k8s.api.apps.v1.Deployment" in answer.body["components"]["schemas"]
    assert "immutable" in answer.headers["Cache-Control"]


EXPLAINED = ["pods", "deployments.apps", "ingresses.networking.k8s.io", "nodes", "jobs.batch"]


@pytest.mark.kubectl
@pytest.mark.skipif(not os.environ.get("CI") and shutil.which("kubectl") is None, reason="kubectl is not installed")
async def test_kubectl_explains_every_kind_to_its_last_field(target: Target, api: Api) -> None:
    """All kinds where PANAL_TEST_ALL is set, some otherwise."""
    kubectl = ["kubectl", f"--kubeconfig={target.kubeconfig}"]
    names = EXPLAINED
    if os.environ.get("PANAL_TEST_ALL"):
        listed = subprocess.run([*kubectl, "api-resources", "-o", "name"], capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split() if not name.endswith(".metrics.k8s.io")]  # not in OpenAPI
    for name in names:
        words = [name]
        if name == "events.events.k8s.io":  # kubectl takes what follows the first point for a field
            words = ["events", "--api-version=events.k8s.io/v1"]
        shown = subprocess.run([*kubectl, "explain", "--recursive", *words], capture_output=True, text=True)
        assert (shown.returncode, "KIND:" in shown.stdout) == (0, True), (name, shown.stderr)
