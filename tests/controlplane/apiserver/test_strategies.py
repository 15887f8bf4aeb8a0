"""What kinds do with new and changed objects: prepared states, what may change, generations, grace."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from panal.controlplane.apiserver.decode import decode
from panal.controlplane.apiserver.fielderrors import FieldError
from panal.controlplane.apiserver.strategies.pods import quality_of_service
from panal.controlplane.apiserver.strategy import RequestContext, before_create, before_update, strategy_for
from panal.errors import BadRequest, Conflict
from panal.resources import (
    CONFIGMAPS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICATIONCONTROLLERS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    Resource,
    all_resources,
)

Object = dict[str, Any]
CTX = RequestContext(user="me", namespace="n", name="a", now="2026-01-01T00:00:00Z")
STATUS = RequestContext(user="me", namespace="n", name="a", now="2026-01-01T00:00:00Z", subresource="status")
UID = "11111111-2222-4333-8444-555555555555"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def created(resource: Resource, **parts: Any) -> Object:
    obj = copy.deepcopy({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}, **parts})
    decode(resource, obj)
    strategy = strategy_for(resource)
    strategy.default(obj)
    before_create(strategy, CTX, obj, uid=UID, rng=random.Random(1))
    assert strategy.validate(CTX, obj) == []
    return obj


def changed(resource: Resource, old: Object, change: Any, ctx: RequestContext = CTX) -> tuple[Object, list[str]]:
    new = copy.deepcopy(old)
    change(new)
    decode(resource, new)
    strategy = strategy_for(resource)
    strategy.default(new)
    kept = copy.deepcopy(old)
    before_update(strategy, ctx, new, old)
    errors: list[FieldError] = strategy.validate_update(ctx, new, old)
    assert old == kept
    return new, [str(error) for error in errors]


def pod(**spec: Any) -> Object:
    return created(PODS, spec={"containers": [{"name": "c", "image": "i"}], **spec})


def test_a_new_object_gets_identity_and_loses_what_only_the_server_sets() -> None:
    obj = created(CONFIGMAPS, metadata={"generateName": "web-", "uid": "x", "resourceVersion": "9", "generation": 7})
    metadata = obj["metadata"]
    assert metadata["name"].startswith("web-")
    assert len(metadata["name"]) == 9
    assert metadata == {
        "generateName": "web-", "name": metadata["name"], "namespace": "n", "uid": UID, "creationTimestamp": CTX.now,
    }  # fmt: skip
    with pytest.raises(BadRequest, match="the namespace of the provided object does not match"):
        created(CONFIGMAPS, metadata={"name": "a", "namespace": "other"})


def test_identity_survives_an_update_and_another_uid_conflicts() -> None:
    old = created(CONFIGMAPS, data={"a": "1"})

    def forget(obj: Object) -> None:
        obj["metadata"] = {"name": "a"}
        obj["data"] = {"a": "2"}

    new, errors = changed(CONFIGMAPS, old, forget)
    assert errors == []
    assert new["metadata"] == old["metadata"]
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: other"):
        changed(CONFIGMAPS, old, lambda obj: obj["metadata"].update(uid="other"))


def test_the_generation_rises_with_the_specification_only() -> None:
    old = created(DEPLOYMENTS, spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE})
    assert old["metadata"]["generation"] == 1
    same, _ = changed(DEPLOYMENTS, old, lambda obj: obj["metadata"].setdefault("labels", {}).update(x="y"))
    assert same["metadata"]["generation"] == 1
    scaled, _ = changed(DEPLOYMENTS, old, lambda obj: obj["spec"].update(replicas=3))
    assert scaled["metadata"]["generation"] == 2
    status, _ = changed(DEPLOYMENTS, scaled, lambda obj: obj.update(status={"replicas": 3}), STATUS)
    assert status["metadata"]["generation"] == 2


def test_the_main_resource_keeps_the_status_and_the_status_all_the_rest() -> None:
    old = created(
        DEPLOYMENTS, spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}, status={"replicas": 9}
    )
    assert old["status"] == {}

    def both(obj: Object) -> None:
        obj["spec"]["replicas"] = 4
        obj["status"] = {"replicas": 4}

    main, _ = changed(DEPLOYMENTS, old, both)
    assert (main["spec"]["replicas"], main["status"]) == (4, {})
    status, _ = changed(DEPLOYMENTS, old, both, STATUS)
    assert (status["spec"]["replicas"], status["status"]) == (1, {"replicas": 4})


def test_selectors_of_workloads_do_not_change() -> None:
    for resource, more in ((DEPLOYMENTS, {}), (DAEMONSETS, {})):
        old = created(resource, spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, **more})

        def relabel(obj: Object) -> None:
            obj["spec"]["selector"]["matchLabels"] = {"x": "y"}
            obj["spec"]["template"]["metadata"]["labels"] = {"x": "y"}

        assert changed(resource, old, relabel)[1] == [
            'spec.selector: Invalid value: {"matchLabels":{"x":"y"}}: field is immutable'
        ]
    old = created(
        STATEFULSETS, spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "serviceName": "s"}
    )
    assert (
        "updates to statefulset spec for fields other than 'replicas'"
        in (changed(STATEFULSETS, old, lambda obj: obj["spec"].update(serviceName="t"))[1][0])
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}}], "Guaranteed"),
        ([{"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        ([{"limits": {"example.com/x": "1"}}], "BestEffort"),
    ],
)
def test_quality_of_service(spec: list[Object], expected: str) -> None:
    assert quality_of_service({"containers": [{"resources": item} for item in spec]}) == expected


def test_only_images_deadline_and_tolerations_of_a_pod_change() -> None:
    old = pod(nodeName="n1")

    def image(obj: Object) -> None:
        obj["spec"]["containers"][0]["image"] = "new"
        obj["spec"]["tolerations"] = [{"key": "k", "operator": "Exists"}]
        obj["spec"]["activeDeadlineSeconds"] = 60

    new, errors = changed(PODS, old, image)
    assert errors == []
    assert new["metadata"]["generation"] == 2
    (words,) = changed(PODS, old, lambda obj: obj["spec"].update(nodeName="n2"))[1]
    assert words.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`")
    assert '"nodeName": "n2"' in words
    (words,) = changed(PODS, old, lambda obj: obj["spec"]["containers"].append({"name": "d", "image": "i"}))[1]
    assert words == "spec.containers: Forbidden: pod updates may not add or remove containers"
    (words,) = changed(PODS, new, lambda obj: obj["spec"].update(activeDeadlineSeconds=90))[1]
    assert words.endswith("must be less than or equal to previous value")


def test_the_grace_of_a_pods_deletion() -> None:
    strategy = strategy_for(PODS)

    def grace(obj: Object, **options: int) -> int | None:
        return strategy.deletion_grace(CTX, obj, options)

    running = pod(nodeName="n1", terminationGracePeriodSeconds=5)
    assert grace(running) == 5
    assert grace(running, gracePeriodSeconds=2) == 2
    assert grace(running, gracePeriodSeconds=0) == 0
    assert grace(pod()) == 0
    assert grace({**running, "status": {"phase": "Succeeded"}}) == 0
    assert grace(running, gracePeriodSeconds=-1) == 1
    assert strategy_for(CONFIGMAPS).deletion_grace(CTX, created(CONFIGMAPS), {}) is None


def test_pods_are_found_by_node_and_phase() -> None:
    fields = strategy_for(PODS).selectable_fields(pod(nodeName="n1"))
    assert fields["spec.nodeName"] == "n1"
    assert fields["status.phase"] == "Pending"
    assert fields["metadata.namespace"] == "n"
    assert strategy_for(PODS).selectable_names() == fields.keys()


def test_a_namespace_ends_when_its_finalizers_are_gone() -> None:
    strategy = strategy_for(NAMESPACES)
    obj = created(NAMESPACES)
    assert obj["spec"] == {"finalizers": ["kubernetes"]}
    assert obj["status"] == {"phase": "Active"}
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
    kept, _ = changed(NAMESPACES, obj, lambda new: new.update(spec={}))
    assert kept["spec"] == {"finalizers": ["kubernetes"]}
    strategy.prepare_for_delete(CTX, obj)
    assert obj["status"]["phase"] == "Terminating"
    assert strategy.remains_after_delete(obj)
    finalize = RequestContext(user="me", name="a", now=CTX.now, subresource="finalize")
    done, _ = changed(NAMESPACES, obj, lambda new: new.update(spec={}), finalize)
    assert not strategy.remains_after_delete(done)


def test_a_service_keeps_what_was_allocated_until_its_type_changes() -> None:
    spec = {"ports": [{"port": 80}], "type": "NodePort", "selector": {"a": "b"}}
    old = created(SERVICES, spec=spec)
    old["spec"].update(clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"])
    old["spec"]["ports"][0]["nodePort"] = 30080

    def replace(**changes: Any) -> Any:
        def change(obj: Object) -> None:
            obj["spec"] = copy.deepcopy({**spec, **changes})

        return change

    new, errors = changed(SERVICES, old, replace())
    assert errors == []
    assert new["spec"]["clusterIPs"] == ["10.96.0.9"]
    assert new["spec"]["ports"][0]["nodePort"] == 30080
    new, errors = changed(SERVICES, old, lambda obj: obj["spec"].update(type="ClusterIP"))
    assert errors == []
    assert "nodePort" not in new["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in new["spec"]
    _, errors = changed(SERVICES, old, replace(clusterIP="10.96.0.10"))
    assert errors == ['spec.clusterIPs[0]: Invalid value: ["10.96.0.10"]: may not change once set']
    new, errors = changed(SERVICES, old, replace(type="ExternalName", externalName="a.b", ports=[]))
    assert errors == []
    assert "clusterIP" not in new["spec"]


def test_a_headless_service_without_a_selector_has_both_families() -> None:
    spec = created(SERVICES, spec={"clusterIP": "None", "ports": [{"port": 80}]})["spec"]
    assert (spec["clusterIPs"], spec["ipFamilyPolicy"]) == (["None"], "RequireDualStack")


def test_immutable_data_stays() -> None:
    old = created(CONFIGMAPS, data={"a": "1"}, immutable=True)
    assert changed(CONFIGMAPS, old, lambda obj: obj["data"].update(a="2"))[1] == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert changed(CONFIGMAPS, old, lambda obj: obj.pop("immutable"))[1] == [
        "immutable: Forbidden: field is immutable when `immutable` is set"
    ]
    secret = created(SECRETS, stringData={"a": "b"})
    assert secret["data"] == {"a": "Yg=="}
    assert changed(SECRETS, secret, lambda obj: obj.update(type="x"))[1] == [
        'type: Invalid value: "x": field is immutable'
    ]


def test_a_job_is_marked_with_its_uid() -> None:
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    obj = created(JOBS, spec={"template": template})
    assert obj["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}}
    assert obj["spec"]["template"]["metadata"]["labels"]["job-name"] == "a"
    assert strategy_for(JOBS).default_propagation() == "Orphan"
    assert strategy_for(REPLICATIONCONTROLLERS).default_propagation() == "Orphan"

    def other(new: Object) -> None:
        new["spec"]["template"]["spec"]["containers"][0]["image"] = "x"

    (words,) = changed(JOBS, obj, other)[1]
    assert words.startswith("spec.template: Invalid value: ")
    assert words.endswith(": field is immutable")
    suspended, _ = changed(JOBS, obj, lambda new: new["spec"].update(suspend=True))
    assert changed(JOBS, suspended, other)[1] == [words.replace('"suspend":false', '"suspend":true')]
    elsewhere = changed(JOBS, suspended, lambda new: new["spec"]["template"]["spec"].update(nodeSelector={"a": "b"}))
    assert elsewhere[1] == []


def test_the_template_generation_of_a_daemon_set_rises_with_its_template() -> None:
    old = created(DAEMONSETS, spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE})
    key = "deprecated.daemonset.template.generation"
    assert old["metadata"]["annotations"][key] == "1"
    new, _ = changed(DAEMONSETS, old, lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(image="x"))
    assert new["metadata"]["annotations"][key] == "2"
    same, _ = changed(DAEMONSETS, new, lambda obj: obj["spec"].update(revisionHistoryLimit=3))
    assert same["metadata"]["annotations"][key] == "2"


def test_a_node_keeps_the_status_it_registers_with() -> None:
    status = {"capacity": {"cpu": "4"}}
    obj = created(NODES, status=status)
    assert obj["status"]["allocatable"] == {"cpu": "4"}
    new, _ = changed(NODES, obj, lambda node: node.update(status={}))
    assert new["status"] == obj["status"]
    new, errors = changed(NODES, obj, lambda node: node["spec"].update(podCIDRs=["10.1.0.0/24"], podCIDR="10.1.0.0/24"))
    assert errors == []
    assert (
        changed(NODES, new, lambda node: node["spec"].update(podCIDRs=["10.2.0.0/24"], podCIDR="10.2.0.0/24"))[1] != []
    )


def test_an_endpoint_slice_keeps_its_type() -> None:
    old = created(ENDPOINTSLICES, addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 80}])
    new, errors = changed(ENDPOINTSLICES, old, lambda obj: obj["endpoints"][0].update(addresses=["10.0.0.2"]))
    assert (errors, new["metadata"]["generation"]) == ([], 2)
    (wrong, immutable) = changed(ENDPOINTSLICES, old, lambda obj: obj.update(addressType="IPv6"))[1]
    assert wrong == 'endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be a valid IPv6 address'
    assert immutable == 'addressType: Invalid value: "IPv6": field is immutable'


def test_names_have_the_form_of_their_kind() -> None:
    assert strategy_for(CRONJOBS).validate_name("x" * 53) == ["must be no more than 52 characters"]
    roles = next(item for item in all_resources() if item.plural == "clusterroles")
    assert strategy_for(roles).validate_name("system:node") == []
    assert strategy_for(roles).validate_name("a/b") == ["may not contain '/'"]
    assert strategy_for(SERVICES).validate_name("a.b") == ["must not contain dots"]
    assert strategy_for(CONFIGMAPS).validate_name("a.b") == []


def test_every_writable_kind_has_a_strategy_that_fills_in_an_almost_empty_object() -> None:
    for resource in all_resources():
        if not {"create", "list"} <= set(resource.verbs):
            continue
        strategy = strategy_for(resource)
        obj: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}}
        decode(resource, obj)
        strategy.default(obj)
        before_create(strategy, CTX, obj, uid=UID, rng=random.Random(1))
        strategy.validate(CTX, obj)
        strategy.warnings(CTX, obj)
        assert strategy.selectable_fields(obj).keys() == strategy.selectable_names(), resource.group_resource
        new = copy.deepcopy(obj)
        before_update(strategy, CTX, new, obj)
        assert new == obj, resource.group_resource
        strategy.validate_update(CTX, new, obj)
