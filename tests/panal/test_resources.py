"""The table of built-in resources."""

from panal import resources


def test_paths_are_those_of_the_api() -> None:
    assert resources.PODS.path() == "/api/v1/pods"
    assert resources.PODS.path("a", "b", "log") == "/api/v1/namespaces/a/pods/b/log"
    assert resources.DEPLOYMENTS.path("a") == "/apis/apps/v1/namespaces/a/deployments"
    assert resources.NODES.path("ignored", "n") == "/api/v1/nodes/n"


def test_events_without_a_group_are_those_of_the_core_group() -> None:
    assert resources.resource("events").group == ""
    assert resources.resource("events", "events.k8s.io").kind == "Event"


def test_the_preferred_version_is_found() -> None:
    assert resources.resource("horizontalpodautoscalers").version == "v2"


def test_a_kind_leads_to_its_resource() -> None:
    found = resources.by_kind("networking.k8s.io/v1", "Ingress")
    assert found is resources.INGRESSES
    assert resources.by_kind("v1", "Nothing") is None


def test_subresources_are_known() -> None:
    assert {"status", "log", "binding", "eviction", "exec"} <= set(resources.PODS.subresources)
