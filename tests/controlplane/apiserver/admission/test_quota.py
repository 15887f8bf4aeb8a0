"""ResourceQuota: what is refused, in which words, and what is not counted."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.admission import quota
from panal.errors import Forbidden
from panal.resources import CONFIGMAPS, EVENTS, PODS, RESOURCEQUOTAS, SERVICES, Resource

from .conftest import Object, Stored, asking, container, pod


def allowing(hard: Object, **spec: object) -> Stored:
    stored = Stored()
    stored.put(RESOURCEQUOTAS, {"metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": hard, **spec}})
    return stored


def refused(stored: Stored, resource: Resource, obj: Object, old: Object | None = None) -> str:
    with pytest.raises(Forbidden) as caught:
        quota.validate(asking(resource, obj, operation="UPDATE" if old else "CREATE", old=old), stored)
    return caught.value.message


def named(name: str, **fields: object) -> Object:
    return {"metadata": {"name": name, "namespace": "shop"}, **fields}


def test_the_pod_too_many_is_refused_in_the_recorded_words() -> None:
    stored = allowing({"pods": "3"})
    for name in "abc":
        stored.put(PODS, pod(name))
    assert refused(stored, PODS, pod("a19-54hwl")) == (
        'pods "a19-54hwl" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'
    )


def test_a_pod_that_has_ended_holds_nothing() -> None:
    stored = allowing({"pods": "1"})
    stored.put(PODS, {**pod("done"), "status": {"phase": "Succeeded"}})
    quota.validate(asking(PODS, pod()), stored)


def test_requests_and_limits_add_up_and_only_what_is_exceeded_is_told() -> None:
    stored = allowing({"cpu": "2", "limits.memory": "1Gi", "pods": "9"})
    stored.put(PODS, pod("a", container("c", {"cpu": "1500m"}, {"memory": "512Mi"})))
    words = refused(stored, PODS, pod("b", container("c", {"cpu": "600m"}, {"memory": "512Mi"})))
    assert words.endswith("exceeded quota: q, requested: cpu=600m, used: cpu=1500m, limited: cpu=2")
    words = refused(stored, PODS, pod("b", container("c", {"cpu": "1m"}, {"memory": "1Gi"})))
    assert words.endswith("requested: limits.memory=1Gi, used: limits.memory=512Mi, limited: limits.memory=1Gi")


def test_every_container_has_to_say_what_a_quota_limits() -> None:
    stored = allowing({"requests.cpu": "2", "limits.memory": "1Gi"})
    words = refused(stored, PODS, pod("web", container("b", {"cpu": "1"}), container("a")))
    assert words == (
        'pods "web" is forbidden: failed quota: q: must specify limits.memory for: a,b; requests.cpu for: a'
    )


def test_other_objects_are_counted_by_name_and_by_count() -> None:
    stored = allowing({"count/configmaps": "1", "configmaps": "1"})
    quota.validate(asking(CONFIGMAPS, named("a")), stored)
    stored.put(CONFIGMAPS, named("a"))
    assert refused(stored, CONFIGMAPS, named("b")) == (
        'configmaps "b" is forbidden: exceeded quota: q, requested: configmaps=1,count/configmaps=1, '
        "used: configmaps=1,count/configmaps=1, limited: configmaps=1,count/configmaps=1"
    )


def test_an_update_pays_for_what_it_adds_only() -> None:
    stored = allowing({"services.nodeports": "2", "services": "1"})
    inside = named("web", spec={"type": "ClusterIP", "ports": [{"port": 80}, {"port": 81}]})
    stored.put(SERVICES, inside)
    outside = named("web", spec={"type": "NodePort", "ports": [{"port": 80}, {"port": 81}]})
    quota.validate(asking(SERVICES, outside, operation="UPDATE", old=inside), stored)
    more = named("web", spec={"type": "NodePort", "ports": [{"port": 80}, {"port": 81}, {"port": 82}]})
    assert refused(stored, SERVICES, more, inside).endswith(
        "requested: services.nodeports=3, used: services.nodeports=0, limited: services.nodeports=2"
    )


def test_a_load_balancer_without_node_ports_costs_none() -> None:
    stored = allowing({"services.nodeports": "0", "services.loadbalancers": "1"})
    spec = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}
    quota.validate(asking(SERVICES, named("lb", spec=spec)), stored)


@pytest.mark.parametrize(
    ("scope", "counted", "free"),
    [
        ("BestEffort", pod(), pod("web", container("c", {"cpu": "1"}))),
        ("NotBestEffort", pod("web", container("c", {"cpu": "1"})), pod()),
        ("Terminating", pod(activeDeadlineSeconds=5), pod()),
        ("NotTerminating", pod(), pod(activeDeadlineSeconds=5)),
    ],
)
def test_a_scope_chooses_the_pods_that_count(scope: str, counted: Object, free: Object) -> None:
    stored = allowing({"pods": "0"}, scopes=[scope])
    quota.validate(asking(PODS, free), stored)
    assert "exceeded quota" in refused(stored, PODS, counted)


def test_a_quota_for_a_priority_class_is_about_its_pods() -> None:
    expression = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    stored = allowing({"pods": "0"}, scopeSelector={"matchExpressions": [expression]})
    quota.validate(asking(PODS, pod(priorityClassName="low")), stored)
    assert "exceeded quota" in refused(stored, PODS, pod(priorityClassName="high"))


def test_events_are_never_counted() -> None:
    quota.validate(asking(EVENTS, named("e")), allowing({"count/events": "0"}))
