"""Checks beyond the recorded answers: each line is one wrong thing, and what Kubernetes says of it."""

# ruff: noqa: E501 - Kubernetes' words stand here whole, to be found by searching for them

from __future__ import annotations

import copy
from typing import Any

import pytest

from panal.controlplane.apiserver.decode import decode
from panal.controlplane.apiserver.fielderrors import bad, duplicate, go_quote, invalid, required
from panal.controlplane.apiserver.strategy import RequestContext, strategy_for
from panal.controlplane.apiserver.validation.cron import schedule_error
from panal.resources import ENDPOINTS, INGRESSES, NODES, PODS, SERVICES, Resource, resource

Object = dict[str, Any]
CTX = RequestContext(user="me", namespace="n", name="a", now="2026-01-01T00:00:00Z")


def complaints(kind: Resource, **parts: Any) -> list[str]:
    obj: Object = copy.deepcopy({"metadata": {"name": "a", "namespace": "n" if kind.namespaced else ""}, **parts})
    decode(kind, obj)
    strategy = strategy_for(kind)
    strategy.default(obj)
    return [str(error) for error in strategy.validate(CTX, obj)]


def of_container(**parts: Any) -> list[str]:
    found = complaints(PODS, spec={"containers": [{"name": "c", "image": "i", **parts}]})
    return [text.removeprefix("spec.containers[0].") for text in found]


def of_pod(**parts: Any) -> list[str]:
    return complaints(PODS, spec={"containers": [{"name": "c", "image": "i"}], **parts})


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"image": " i"}, 'image: Invalid value: " i": must not have leading or trailing whitespace'),
        ({"ports": [{"containerPort": 80, "name": "uP"}]},
         'ports[0].name: Invalid value: "uP": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)'),
        ({"env": [{"name": "a=b"}]},
         'env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII '
         "characters other than '='"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}]}, None),
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "x"}}}]},
         "env[0].valueFrom.configMapKeyRef.key: Required value"),
        ({"envFrom": [{}]}, 'envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'),
        ({"readinessProbe": {"httpGet": {"port": "no port!"}}},
         'readinessProbe.httpGet.port: Invalid value: "no port!": must contain only alpha-numeric characters (a-z, 0-9), '
         "and hyphens (-)"),
        ({"readinessProbe": {"exec": {}}}, "readinessProbe.exec.command: Required value"),
        ({"lifecycle": {"preStop": {}}}, "lifecycle.preStop: Required value: must specify a handler type"),
        ({"resources": {"requests": {"example.com/gpu": "1"}}},
         "resources.limits: Required value: Limit must be set for non overcommitable resources"),
        ({"terminationMessagePolicy": "X"},
         'terminationMessagePolicy: Unsupported value: "X": supported values: "File", "FallbackToLogsOnError"'),
    ],
)  # fmt: skip
def test_containers(parts: Object, words: str | None) -> None:
    assert of_container(**parts) == ([] if words is None else [words])


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]},
         "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"),
        ({"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "/x"}]}}]},
         'spec.volumes[0].configMap.items[0].path: Invalid value: "/x": must be a relative path'),
        ({"serviceAccountName": "x", "volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]}}]},
         "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a "
         "duration less than 10 minutes"),
        ({"tolerations": [{"operator": "Equal"}]},
         'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means '
         '"match all values and all keys"'),
        ({"tolerations": [{"key": "k", "effect": "NoSchedule", "tolerationSeconds": 1}]},
         "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set"),
        ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "a", "matchLabelKeys": ["b"]}]}}},
         "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: "
         "must not be specified when labelSelector is not set"),
        ({"hostname": "A"},
         "spec.hostname: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
         "or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
         "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"),
        ({"dnsPolicy": "None", "dnsConfig": {"searches": ["a"]}},
         "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"),
        ({"initContainers": [{"name": "c", "image": "i"}]}, 'spec.initContainers[0].name: Duplicate value: "c"'),
        ({"initContainers": [{"name": "d", "image": "i", "readinessProbe": {"exec": {"command": ["x"]}}}]},
         "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without "
         "restartPolicy=Always"),
    ],
)  # fmt: skip
def test_pods(parts: Object, words: str) -> None:
    assert of_pod(**parts) == [words]


def test_mounts_stay_in_their_volumes() -> None:
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/a", "subPath": "../x"}, {"name": "v", "mountPath": "/a"}]
    container = {"name": "c", "image": "i", "volumeMounts": mounts}
    assert complaints(PODS, spec={"containers": [container], "volumes": volumes}) == [
        "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
        'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
    ]


@pytest.mark.parametrize(
    ("kind", "parts", "words"),
    [
        (SERVICES, {"spec": {"type": "NodePort", "ports": [{"port": 1, "name": "a", "nodePort": 30000},
                                                           {"port": 2, "name": "b", "nodePort": 30000}]}},
         "spec.ports[1].nodePort: Duplicate value: 30000"),
        (SERVICES, {"spec": {"externalTrafficPolicy": "Local", "ports": [{"port": 1}]}},
         'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'),
        (SERVICES, {"spec": {"type": "ExternalName", "externalName": "a_b"}},
         "spec.externalName: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case "
         "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
         "'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"),
        (SERVICES, {"spec": {"sessionAffinity": "ClientIP", "ports": [{"port": 1}],
                             "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 99999}}}},
         "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 99999: must be greater than 0 and less than "
         "86400"),
        (ENDPOINTS, {"subsets": [{}]}, "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
        (ENDPOINTS, {"subsets": [{"addresses": [{"ip": "169.254.1.1"}]}]},
         'subsets[0].addresses[0].ip: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, '
         "fe80::/10)"),
        (INGRESSES, {"spec": {"defaultBackend": {}}},
         'spec.defaultBackend: Invalid value: "": resource or service backend is required'),
        (INGRESSES, {"spec": {"rules": [{"host": "*.a.b"}]}}, None),
        (NODES, {"spec": {"taints": [{"key": "k"}]}}, "metadata.taints[0].effect: Required value"),
        (resource("clusterroles"), {"rules": [{"verbs": ["get"], "apiGroups": [""]}]},
         "rules[0].resources: Required value: resource rules must supply at least one resource"),
        (resource("priorityclasses"), {"value": 2_000_000_000},
         "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"),
        (resource("persistentvolumes"), {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}},
         "spec: Required value: must specify a volume type"),
        (resource("ingressclasses"), {"spec": {"controller": "x"}},
         'spec.controller: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'),
    ],
)  # fmt: skip
def test_other_kinds(kind: Resource, parts: Object, words: str | None) -> None:
    assert complaints(kind, **parts) == ([] if words is None else [words])


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"finalizers": ["x"]},
         'metadata.finalizers: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified'),
        ({"annotations": {"a": "x" * 262144}}, "metadata.annotations: Too long: may not be more than 262144 bytes"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]},
         'metadata.ownerReferences.uid: Invalid value: "": must not be empty'),
        ({"generateName": "UP-"},
         "metadata.generateName: Invalid value: \"UP-\": a lowercase RFC 1123 subdomain must consist of lower case "
         "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
         "'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"),
    ],
)  # fmt: skip
def test_metadata(metadata: Object, words: str) -> None:
    obj: Object = {"metadata": {"name": "a", "namespace": "n", **metadata}}
    assert complaints(resource("configmaps"), **obj) == [words]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("*/5 * * * *", ""), ("0 9-17 * * mon-fri", ""), ("@daily", ""), ("0,30 1 1 jan *", ""),
        ("@never", "unrecognized descriptor: @never"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
    ],
)  # fmt: skip
def test_schedules(schedule: str, words: str) -> None:
    assert schedule_error(schedule) == words


def test_several_complaints_are_joined_and_each_is_a_cause() -> None:
    errors = [required("spec.a"), bad("spec.b", None, "no"), duplicate("spec.c", {"x": 1}), required("spec.a")]
    answer = invalid("Pod", "", "p", errors).status()
    assert answer["message"] == (
        'Pod "p" is invalid: [spec.a: Required value, spec.b: Invalid value: null: no, spec.c: Duplicate value: {"x":1}]'
    )
    assert len(answer["details"]["causes"]) == 4
    assert invalid("Role", "g", "", errors[:1]).status()["message"] == 'Role.g "" is invalid: spec.a: Required value'


def test_text_is_quoted_as_go_does() -> None:
    assert go_quote('a"b\\c') == '"a\\"b\\\\c"'
    assert go_quote("a\nb\x01é") == '"a\\nb\\x01é"'


def test_a_specification_known_to_be_valid_does_not_vouch_for_another() -> None:
    from panal.controlplane.apiserver.validation import pods

    def spec(volume: str, mount: str) -> dict[str, Any]:
        mounts = [{"name": mount, "mountPath": "/v"}]
        container = {
            "name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File",
            "volumeMounts": mounts,
        }  # fmt: skip
        return {
            "containers": [container], "volumes": [{"name": volume, "emptyDir": {}}], "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30,
        }  # fmt: skip

    one, other = "kube-api-access-abcde", "kube-api-access-fghij"
    assert pods.pod_spec(spec(one, one), "spec", real=True) == []
    assert pods.pod_spec(spec(other, other), "spec", real=True) == []
    assert [error.field for error in pods.pod_spec(spec(one, other), "spec", real=True)] == [
        "spec.containers[0].volumeMounts[0].name"
    ]
