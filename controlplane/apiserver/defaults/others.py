"""Defaults of the remaining groups: networking, policy, RBAC, storage, scheduling, discovery, webhooks, extensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"


def network_policy(obj: Object) -> None:
    spec = obj["spec"]
    rules = [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]
    for rule in rules:
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def ingress_class(obj: Object) -> None:
    parameters = obj["spec"].get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def role_binding(obj: Object) -> None:
    if not obj["roleRef"].get("apiGroup"):
        obj["roleRef"]["apiGroup"] = RBAC
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup"):
            if subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = RBAC
            elif subject.get("kind") == "ServiceAccount":
                subject.pop("apiGroup", None)


def storage_class(obj: Object) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def csi_driver(obj: Object) -> None:
    spec = obj["spec"]
    for key, value in (
        ("attachRequired", True), ("podInfoOnMount", False), ("storageCapacity", False),
        ("fsGroupPolicy", "ReadWriteOnceWithFSType"), ("requiresRepublish", False), ("seLinuxMount", False),
    ):  # fmt: skip
        spec.setdefault(key, value)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def priority_class(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def webhooks(obj: Object) -> None:
    """Validating and mutating webhook configurations."""
    for hook in obj.get("webhooks") or ():
        for key, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
            hook.setdefault(key, value)
        hook.setdefault("namespaceSelector", {})
        hook.setdefault("objectSelector", {})
        if obj.get("kind") == "MutatingWebhookConfiguration":
            hook.setdefault("reinvocationPolicy", "Never")
        service_reference(hook.get("clientConfig"))
        for rule in hook.get("rules") or ():
            rule.setdefault("scope", "*")


def service_reference(client: Object | None) -> None:
    if client and client.get("service") is not None:
        client["service"].setdefault("port", 443)


def admission_policy(obj: Object) -> None:
    spec = obj["spec"]
    spec.setdefault("failurePolicy", "Fail")
    constraints = spec.get("matchConstraints")
    if constraints is not None:
        match_resources(constraints)


def match_resources(found: Object) -> None:
    found.setdefault("matchPolicy", "Equivalent")
    found.setdefault("namespaceSelector", {})
    found.setdefault("objectSelector", {})
    rules: Iterable[Object] = [*(found.get("resourceRules") or ()), *(found.get("excludeResourceRules") or ())]
    for rule in rules:
        rule.setdefault("scope", "*")


def admission_policy_binding(obj: Object) -> None:
    found = obj["spec"].get("matchResources")
    if found is not None:
        match_resources(found)


def custom_resource_definition(obj: Object) -> None:
    spec = obj["spec"]
    names = spec.setdefault("names", {})
    if not names.get("singular") and names.get("kind"):
        names["singular"] = names["kind"].lower()
    if not names.get("listKind") and names.get("kind"):
        names["listKind"] = names["kind"] + "List"
    conversion = spec.setdefault("conversion", {})
    conversion.setdefault("strategy", "None")
    service_reference((conversion.get("webhook") or {}).get("clientConfig"))


def api_service(obj: Object) -> None:
    service_reference(obj["spec"])


def flow_schema(obj: Object) -> None:
    if not obj["spec"].get("matchingPrecedence"):
        obj["spec"]["matchingPrecedence"] = 1000


def priority_level(obj: Object) -> None:
    limited = obj["spec"].get("limited")
    if limited is not None:
        limited.setdefault("nominalConcurrencyShares", 30)
        limited.setdefault("lendablePercent", 0)
        response = limited.setdefault("limitResponse", {})
        queuing = response.get("queuing")
        if queuing is not None:
            for key, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
                queuing.setdefault(key, value)


def resource_claim(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        exactly = request.get("exactly")
        if exactly is not None:
            exactly.setdefault("allocationMode", "ExactCount")
            if exactly["allocationMode"] == "ExactCount":
                exactly.setdefault("count", 1)
