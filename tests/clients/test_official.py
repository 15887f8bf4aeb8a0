"""The official Python client, `kubernetes`: typed APIs, watches, the dynamic client, YAML, leader election."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .objects import deployment, pod
from .programs import everything

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def api(kubeconfig: Path) -> Any:
    from kubernetes import config

    made = config.new_client_from_config(str(kubeconfig))
    yield made
    made.close()


def test_typed_objects_go_there_and_back(api: Any, space: str) -> None:
    from kubernetes import client

    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    for index in range(5):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"c{index}"), data={"a": "b"})
        core.create_namespaced_config_map(space, body)
    first = core.list_namespaced_config_map(space, limit=2)
    second = core.list_namespaced_config_map(space, limit=10, _continue=first.metadata._continue)
    assert first.metadata.remaining_item_count == 3
    assert [each.metadata.name for each in first.items + second.items] == ["c0", "c1", "c2", "c3", "c4"]
    created = core.create_namespaced_pod(space, pod("one"))
    assert created.metadata.creation_timestamp.tzinfo is not None
    assert created.spec.termination_grace_period_seconds == 30
    core.patch_namespaced_pod("one", space, {"metadata": {"labels": {"tier": "front"}}})
    assert core.list_namespaced_pod(space, label_selector="tier in (front)").items[0].metadata.name == "one"
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="one"))
    core.create_namespaced_pod_eviction("one", space, eviction)
    assert core.list_namespaced_pod(space).items == []  # it was not bound to any node: nobody has to end it
    apps.create_namespaced_deployment(space, deployment("web"))
    apps.patch_namespaced_deployment_scale("web", space, {"spec": {"replicas": 4}})
    assert apps.read_namespaced_deployment("web", space).spec.replicas == 4
    with pytest.raises(client.ApiException) as raised:
        core.read_namespaced_pod("nothing", space)
    assert raised.value.status == 404
    assert '"reason":"NotFound"' in raised.value.body.replace(" ", "")
    with pytest.raises(client.ApiException, match="Invalid value"):
        apps.patch_namespaced_deployment("web", space, {"spec": {"replicas": -1}})
    assert client.VersionApi(api).get_code().minor == "36"
    reviewed = client.AuthorizationV1Api(api).create_self_subject_access_review(
        {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}}
    )
    assert reviewed.status.allowed is True
    token = core.create_namespaced_service_account_token("default", space, {"spec": {"audiences": []}})
    assert token.status.token.count(".") == 2


def test_a_watch_goes_on_where_the_list_ended(api: Any, space: str) -> None:
    from kubernetes import client, watch

    core = client.CoreV1Api(api)
    core.create_namespaced_pod(space, pod("before"))
    listed = core.list_namespaced_pod(space)
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        watching = watch.Watch()
        revision = listed.metadata.resource_version
        for event in watching.stream(core.list_namespaced_pod, space, resource_version=revision):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                watching.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    core.create_namespaced_pod(space, pod("after"))
    core.delete_namespaced_pod("after", space, grace_period_seconds=0)
    thread.join(30)
    assert seen == [("ADDED", "after"), ("DELETED", "after")]


def test_the_dynamic_client_finds_kinds_and_applies(api: Any, space: str) -> None:
    from kubernetes import dynamic, utils
    from kubernetes.dynamic.exceptions import ConflictError, UnprocessibleEntityError

    found = dynamic.DynamicClient(api)
    widgets = found.resources.get(api_version="clients.example.com/v1", kind="Widget")
    made = widgets.create({"metadata": {"name": "w"}, "spec": {"size": 1}}, namespace=space)
    assert made.metadata.generation == 1
    with pytest.raises(UnprocessibleEntityError):
        widgets.patch({"spec": {"size": 0}}, name="w", namespace=space, content_type="application/merge-patch+json")
    widgets.status.patch({"status": {"a": 1}}, "w", space, content_type="application/merge-patch+json")
    assert widgets.get(name="w", namespace=space).status.a == 1
    settings = found.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    settings.server_side_apply(body, namespace=space, field_manager="one")
    with pytest.raises(ConflictError):
        settings.server_side_apply({**body, "data": {"a": "2"}}, namespace=space, field_manager="two")
    settings.server_side_apply({**body, "data": {"a": "2"}}, namespace=space, field_manager="two", force_conflicts=True)
    assert settings.get(name="c", namespace=space).data.a == "2"
    utils.create_from_dict(api, {**deployment("web"), "metadata": {"name": "web", "namespace": space}})
    assert [each.metadata.name for each in found.resources.get(kind="Deployment").get(namespace=space).items] == ["web"]


@everything
def test_of_two_candidates_one_leads_until_it_is_killed(kubeconfig: Path, space: str) -> None:
    """Leader election as this client's own recipe does it: compare-and-swap on an annotation of a ConfigMap."""
    program = [sys.executable, str(Path(__file__).with_name("candidate.py")), str(kubeconfig), space]

    def candidate(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*program, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    with candidate("one") as one:
        assert one.stdout is not None
        try:
            assert one.stdout.readline() == "one\n"
            with candidate("two") as two:
                assert two.stdout is not None
                one.kill()
                try:
                    assert two.stdout.readline() == "two\n"
                finally:
                    two.kill()
        finally:
            one.kill()
