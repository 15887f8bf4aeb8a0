"""What the JSON schemas don't tell of Kubernetes' Go types: which fields are pointers, which empty ones are written.

Kubernetes leaves out what is empty and marked so, keeps a pointer to an empty value (`replicas: 0`), and always writes
structs that are no pointers (`resources: {}`). Answers, ownership of fields and equality of objects depend on it.
Names are `Kind.field`, with Kind the last part of the definition's name; fields that are alike everywhere stand alone.
"""

from __future__ import annotations

EMBEDDED = frozenset(
    (
        "Container.resources", "EphemeralContainer.resources",
        "PodTemplateSpec.metadata", "PodTemplateSpec.spec", "PodTemplate.template",
        "JobTemplateSpec.metadata", "JobTemplateSpec.spec", "PersistentVolumeClaimTemplate.metadata",
        "ResourceClaimTemplateSpec.metadata", "ResourceClaimSpec.devices",
        "DeploymentSpec.strategy", "DaemonSetSpec.updateStrategy", "StatefulSetSpec.updateStrategy",
        "ReplicaSetSpec.template", "PersistentVolumeClaimSpec.resources",
        "ServiceStatus.loadBalancer", "IngressStatus.loadBalancer", "IngressServiceBackend.port",
        "NodeStatus.nodeInfo", "NodeStatus.daemonEndpoints", "NodeDaemonEndpoints.kubeletEndpoint",
        "ContainerStatus.state", "ContainerStatus.lastState",
        "Event.source", "Event.deprecatedSource", "Event.regarding", "Endpoint.conditions",
        "CustomResourceDefinitionStatus.acceptedNames",
        "NetworkPolicySpec.podSelector", "SubjectAccessReviewStatus.", "TokenReviewStatus.user",
        "SelfSubjectReviewStatus.userInfo", "FlowSchemaSpec.priorityLevelConfiguration",
        "CertificateSigningRequest.status", "APIServiceSpec.groupPriorityMinimum",
    )
)  # fmt: skip
"""Optional structs that are no pointers: always written."""

WRITTEN_EMPTY = frozenset(
    (
        "EndpointSlice.ports", "CustomResourceDefinitionStatus.conditions",
        "CustomResourceDefinitionStatus.storedVersions",
        "HorizontalPodAutoscalerStatus.currentMetrics", "ContainerStatus.image", "ContainerStatus.imageID",
        "PodDisruptionBudgetStatus.disruptionsAllowed", "PodDisruptionBudgetStatus.currentHealthy",
        "PodDisruptionBudgetStatus.desiredHealthy", "PodDisruptionBudgetStatus.expectedPods",
        "StatefulSetStatus.availableReplicas", "Event.reportingComponent", "Event.reportingInstance",
    )
)  # fmt: skip
"""Optional fields that are written even when empty."""

POINTERS = frozenset(
    (
        "DeploymentSpec.selector", "ReplicaSetSpec.selector", "DaemonSetSpec.selector", "StatefulSetSpec.selector",
        "PersistentVolumeClaimTemplate.spec.selector", "HTTPIngressPath.pathType",
    )
)  # fmt: skip
"""Required fields that are pointers: null when missing."""

PLAIN_TIMES = frozenset(
    (
        "firstTimestamp", "lastTimestamp", "eventTime", "lastProbeTime", "lastTransitionTime", "lastUpdateTime",
        "lastHeartbeatTime", "startedAt", "finishedAt", "lastObservedTime", "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp",
    )
)  # fmt: skip
"""Times that are no pointers: null when missing."""

_PLAIN_BOOLS = frozenset(
    (
        "hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly", "paused", "unschedulable",
        "publishNotReadyAddresses", "globalDefault", "deprecated", "ready_", "preserveUnknownFields", "isDefault",
        "insecureSkipTLSVerify",
    )
)  # fmt: skip
_PLAIN_INTS = frozenset(
    (
        "minReadySeconds", "hostPort", "nodePort", "healthCheckNodePort", "initialDelaySeconds", "timeoutSeconds",
        "periodSeconds", "successThreshold", "failureThreshold", "observedGeneration", "replicas", "updatedReplicas",
        "readyReplicas", "availableReplicas", "unavailableReplicas", "fullyLabeledReplicas", "currentReplicas",
        "active", "succeeded", "failed", "count", "generation", "updatedNumberScheduled", "numberAvailable",
        "numberUnavailable",
        "signal", "tolerationSeconds_", "currentCPUUtilizationPercentage_",
    )
)  # fmt: skip
_POINTER_NUMBERS = frozenset(
    (
        "DeploymentSpec.replicas", "ReplicaSetSpec.replicas", "StatefulSetSpec.replicas",
        "ReplicationControllerSpec.replicas", "ClientIPConfig.timeoutSeconds", "ValidatingWebhook.timeoutSeconds",
        "MutatingWebhook.timeoutSeconds", "HorizontalPodAutoscalerStatus.observedGeneration",
        "GRPCAction.port", "ScaleSpec_.replicas", "CronJobStatus.active",
    )
)  # fmt: skip
_POINTER_STRINGS = frozenset(
    (
        "storageClassName", "ingressClassName", "volumeMode", "runtimeClassName", "preemptionPolicy", "holderIdentity",
        "appProtocol", "ipFamilyPolicy", "internalTrafficPolicy", "loadBalancerClass", "trafficDistribution",
        "volumeAttributesClassName", "zone", "timeZone", "completionMode", "addedAffinity", "hostnameOverride",
        "podReplacementPolicy", "managedBy", "csiDriverName_", "selectableScope_", "strategy", "preferredHolder",
        "mountPropagation", "recursiveReadOnly", "restartPolicy_", "seLinuxChangePolicy", "fsGroupChangePolicy",
        "localhostProfile", "gmsaCredentialSpec", "runAsUserName", "procMount", "reclaimPolicy", "volumeBindingMode",
    )
)  # fmt: skip
_POINTER_STRING_FIELDS = frozenset(
    (
        "HostPathVolumeSource.type", "GRPCAction.service", "EndpointPort.name", "EndpointPort.protocol",
        "Endpoint.hostname", "Endpoint.nodeName", "EndpointAddress.nodeName", "ServiceReference.path",
        "WebhookClientConfig.url", "TypedLocalObjectReference.apiGroup", "TypedObjectReference.apiGroup",
        "TypedObjectReference.namespace",
    )
)  # fmt: skip


def _name(go: str, key: str) -> str:
    return f"{go.rpartition('.')[2]}.{key}"


def is_pointer(go: str, key: str) -> bool:
    """Whether a field that must be there is null, not an empty struct, when it is missing."""
    return _name(go, key) in POINTERS


def always_written(go: str, key: str) -> bool:
    name = _name(go, key)
    return name in EMBEDDED or name in WRITTEN_EMPTY


def omits_zero(go: str, key: str, kind: str) -> bool:
    """Whether an optional field is left out when it has the zero value of its kind."""
    name = _name(go, key)
    if name in WRITTEN_EMPTY:
        return False
    match kind:
        case "list" | "map":
            return True
        case "bytes":
            return True
        case "string":
            return key not in _POINTER_STRINGS and name not in _POINTER_STRING_FIELDS
        case "bool":
            return key in _PLAIN_BOOLS
        case "int32" | "int64":
            return key in _PLAIN_INTS and name not in _POINTER_NUMBERS
    return False
