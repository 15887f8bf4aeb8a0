"""What is wrong with policies of the network, autoscalers, leases, storage classes and signing requests."""

from __future__ import annotations

from typing import Any

import pytest

from panal.controlplane.apiserver.validation import autoscaling, certificates, coordination, networkpolicies, storage

Object = dict[str, Any]


def policy(**rule: Any) -> Object:
    return {"spec": {"podSelector": {}, "ingress": [rule]}}


@pytest.mark.parametrize(
    ("obj", "complaint"),
    [
        (policy(ports=[{"port": 80, "endPort": 79}]), "Invalid value: 79: must be greater than or equal to `port`"),
        (policy(ports=[{"port": "web", "endPort": 90}]),
         "endPort: Invalid value: 90: may not be specified when `port` is non-numeric"),
        (policy(ports=[{"endPort": 90}]), "90: may not be specified when `port` is not specified"),
        (policy(ports=[{"protocol": "ICMP"}]),
         'protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"'),
        (policy(**{"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.1.0/28"]}}]}),
         'except[0]: Invalid value: "10.0.1.0/28": must be a strict subset of `cidr`'),
        (policy(**{"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.0/24"]}}]}), "strict subset"),
        (policy(**{"from": [{}]}), "spec.ingress[0].from[0]: Required value: must specify a peer"),
    ],
)  # fmt: skip
def test_a_network_policy_is_checked(obj: Object, complaint: str) -> None:
    assert complaint in str(networkpolicies.network_policy(obj)[0])


def test_a_good_network_policy_is_let_alone() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    rule: Object = {"ports": [{"protocol": "TCP", "port": 80, "endPort": 90}], "from": [{"ipBlock": block}]}
    assert networkpolicies.network_policy(policy(**rule)) == []


def resource(**target: Any) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


@pytest.mark.parametrize(
    ("metric", "complaint"),
    [
        ({}, "m[0].type: Required value: must specify a metric source type"),
        ({"type": "Pods"}, "m[0].pods: Required value: must populate information for the given metric source"),
        (resource(type="Utilization"), "must set either a target raw value or a target utilization"),
        (resource(type="Utilization", averageUtilization=0),
         "m[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"),
        (resource(type="AverageValue", averageValue="0"), 'averageValue: Invalid value: "0": must be positive'),
        (resource(type="Some", averageUtilization=5), "must be either Utilization, Value, or AverageValue"),
    ],
)  # fmt: skip
def test_an_autoscalers_metrics_are_checked(metric: Object, complaint: str) -> None:
    assert complaint in str(autoscaling.metrics([metric], "m")[0])


def test_an_autoscalers_behavior_is_checked() -> None:
    rules = {"stabilizationWindowSeconds": 3601, "policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}
    assert [str(each) for each in autoscaling.behavior({"scaleUp": rules}, "b")] == [
        "b.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
        "b.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
        "b.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
    ]
    assert autoscaling.metrics([resource(type="Utilization", averageUtilization=50)], "m") == []


def test_leases_and_storage_classes_are_checked() -> None:
    spec = {"leaseDurationSeconds": 0, "leaseTransitions": -1}
    assert [each.field for each in coordination.lease({"spec": spec})] == [
        "spec.leaseDurationSeconds",
        "spec.leaseTransitions",
    ]
    found = storage.storage_class({"provisioner": "a/b", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later"})
    assert [str(each) for each in found] == [
        'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"',
    ]


def test_a_signing_request_is_decided_once() -> None:
    def decided(*kinds: str, status: str = "True") -> Object:
        return {"status": {"conditions": [{"type": kind, "status": status} for kind in kinds]}}

    def update(new: Object, old: Object, subresource: str = "approval") -> list[str]:
        return [str(each) for each in certificates.signing_update(new, old, subresource)]

    assert update(decided("Approved"), {}) == []
    assert "Approved and Denied conditions are mutually exclusive" in update(decided("Approved", "Denied"), {})[0]
    removed = 'status.conditions: Forbidden: updates may not remove a condition of type "Denied"'
    assert update({}, decided("Denied")) == [removed]
    assert 'Unsupported value: "False": supported values: "True"' in update(decided("Approved", status="False"), {})[0]
    added = 'status.conditions: Forbidden: updates may not add a condition of type "Approved"'
    assert update(decided("Approved"), {}, "status") == [added]
    issued = {"status": {"certificate": "LS0t"}}
    words = 'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block'
    refused = "status.certificate: Forbidden: updates may not set certificate content"
    assert update(issued, {}) == [words, refused]
