"""Which scalar fields of Kubernetes' Go types are pointers.

Protobuf always carries the others, so their zero values mean nothing and are left out of the JSON; a pointer's zero is
a value that somebody wrote (`replicas: 0`).
"""

from __future__ import annotations

_ANYWHERE = frozenset(
    (
        # numbers
        "activeDeadlineSeconds", "averageUtilization", "backoffLimit", "backoffLimitPerIndex", "borrowingLimitPercent",
        "collisionCount", "completions", "currentAverageUtilization", "currentCPUUtilizationPercentage", "defaultMode",
        "deletionGracePeriodSeconds", "endPort", "errorCode", "expirationSeconds", "failedJobsHistoryLimit", "fsGroup",
        "gracePeriodSeconds", "leaseDurationSeconds", "leaseTransitions", "lendablePercent", "limitBytes",
        "maxExpirationSeconds", "maxFailedIndexes", "maxItems", "maxLength", "maxProperties", "maximum", "minDomains",
        "minItems", "minLength", "minProperties", "minReplicas", "minimum", "mode", "multipleOf",
        "nodeAllocatableUpdatePeriodSeconds", "parallelism", "priority", "progressDeadlineSeconds",
        "remainingItemCount", "revisionHistoryLimit", "runAsGroup", "runAsUser", "sinceSeconds",
        "stabilizationWindowSeconds", "startingDeadlineSeconds", "succeededCount", "successfulJobsHistoryLimit",
        "tailLines", "targetAverageUtilization", "targetCPUUtilizationPercentage", "terminatingReplicas",
        "terminationGracePeriodSeconds", "tolerationSeconds", "ttlSecondsAfterFinished",
        # booleans
        "adminAccess", "allocateLoadBalancerNodePorts", "allowMultipleAllocations", "allowPrivilegeEscalation",
        "allowVolumeExpansion", "attachRequired", "automountServiceAccountToken", "bindsToNode", "blockOwnerDeletion",
        "controller", "enableServiceLinks", "hostProcess", "hostUsers", "immutable", "manualSelector", "optional",
        "optionalOldSelf", "orphanDependents", "perDeviceNodeSelection", "podInfoOnMount",
        "preventPodSchedulingIfMissing", "privileged", "readOnlyRootFilesystem", "recursiveReadOnlyMounts",
        "requiresRepublish", "runAsNonRoot", "seLinuxMount", "sendInitialEvents", "serviceAccountTokenInSecrets",
        "serving", "setHostnameAsFQDN", "shareProcessNamespace", "started", "storageCapacity", "suspend",
        "userNamespaces", "x-kubernetes-preserve-unknown-fields", "ignoreStoreReadErrorWithClusterBreakingPotential",
        # strings
        "appProtocol", "completionMode", "fsGroupChangePolicy", "gmsaCredentialSpec", "gmsaCredentialSpecName",
        "holderIdentity", "hostnameOverride", "ingressClassName", "internalTrafficPolicy", "ipFamilyPolicy", "ipMode",
        "loadBalancerClass", "localhostProfile", "managedBy", "mountPropagation", "podReplacementPolicy",
        "preemptionPolicy", "preferredHolder", "procMount", "recursiveReadOnly", "runAsUserName", "runtimeClassName",
        "seLinuxChangePolicy", "timeZone", "trafficDistribution", "unhealthyPodEvictionPolicy",
        "volumeAttributesClassName",
        "volumeBindingMode", "volumeMode", "nodeAffinityPolicy", "nodeTaintsPolicy",
    )
)  # fmt: skip
"""Pointers wherever they occur, but for the exceptions below."""

_HERE = frozenset(
    (
        "MutatingWebhook.timeoutSeconds", "ValidatingWebhook.timeoutSeconds", "ClientIPConfig.timeoutSeconds",
        "ListOptions.timeoutSeconds", "ServiceReference.port", "ServiceReference.path", "WebhookClientConfig.url",
        "MutatingWebhook.failurePolicy", "MutatingWebhook.matchPolicy", "MutatingWebhook.reinvocationPolicy",
        "MutatingWebhook.sideEffects", "ValidatingWebhook.failurePolicy", "ValidatingWebhook.matchPolicy",
        "ValidatingWebhook.sideEffects", "ValidatingAdmissionPolicySpec.failurePolicy", "MatchResources.matchPolicy",
        "MutatingAdmissionPolicySpec.failurePolicy", "ParamRef.parameterNotFoundAction", "Rule.scope",
        "Validation.reason", "ValidationRule.reason", "RollingUpdateStatefulSetStrategy.partition",
        "DeploymentSpec.replicas", "ReplicaSetSpec.replicas", "StatefulSetSpec.replicas",
        "ReplicationControllerSpec.replicas", "HorizontalPodAutoscalerStatus.observedGeneration", "JobStatus.ready",
        "JobStatus.terminating", "LeaseSpec.strategy", "AzureDiskVolumeSource.readOnly", "CSIVolumeSource.readOnly",
        "AzureDiskVolumeSource.cachingMode", "AzureDiskVolumeSource.fsType", "AzureDiskVolumeSource.kind",
        "AzureFilePersistentVolumeSource.secretNamespace", "CSIVolumeSource.fsType", "LocalVolumeSource.fsType",
        "ISCSIVolumeSource.initiatorName", "ISCSIPersistentVolumeSource.initiatorName",
        "GlusterfsPersistentVolumeSource.endpointsNamespace", "FCVolumeSource.lun", "NodeSwapStatus.capacity",
        "NodeFeatures.supplementalGroupsPolicy", "PodSecurityContext.supplementalGroupsPolicy",
        "ClusterTrustBundleProjection.name", "ClusterTrustBundleProjection.signerName", "EndpointAddress.nodeName",
        "GRPCAction.service", "HostPathVolumeSource.type", "PersistentVolumeClaimSpec.storageClassName",
        "PersistentVolumeClaimStatus.currentVolumeAttributesClassName", "PodDNSConfigOption.value",
        "PodResourceClaim.resourceClaimName", "PodResourceClaim.resourceClaimTemplateName",
        "PodResourceClaimStatus.resourceClaimName", "PodSchedulingGroup.podGroupName", "PortStatus.error",
        "IngressPortStatus.error", "TypedLocalObjectReference.apiGroup", "TypedObjectReference.apiGroup",
        "TypedObjectReference.namespace", "Preconditions.uid", "Preconditions.resourceVersion",
        "DeleteOptions.propagationPolicy", "PatchOptions.force", "PodLogOptions.stream", "Container.restartPolicy",
        "EphemeralContainerCommon.restartPolicy", "ContainerStatus.stopSignal", "Lifecycle.stopSignal",
        "HPAScalingRules.selectPolicy", "StorageClass.reclaimPolicy", "PersistentVolumeSpec.volumeMode",
        "CSIDriverSpec.fsGroupPolicy", "VolumeAttachmentSource.persistentVolumeName", "VolumeNodeResources.count",
        "EndpointConditions.ready", "EndpointConditions.terminating", "Endpoint.hostname", "Endpoint.nodeName",
        "Endpoint.zone", "HTTPIngressPath.pathType", "IngressClassParametersReference.apiGroup",
        "IngressClassParametersReference.namespace", "IngressClassParametersReference.scope",
        "NetworkPolicyPort.protocol", "ExemptPriorityLevelConfiguration.nominalConcurrencyShares",
        "LimitedPriorityLevelConfiguration.nominalConcurrencyShares", "Device.allNodes", "Device.nodeName",
        "DeviceAttribute.bool", "DeviceAttribute.int", "DeviceAttribute.string", "DeviceAttribute.version",
        "ResourceSliceSpec.allNodes", "ResourceSliceSpec.nodeName", "DeviceConstraint.matchAttribute",
        "DeviceConstraint.distinctAttribute", "DeviceClassSpec.extendedResourceName",
        "CertificateSigningRequestSpec.expirationSeconds", "CustomResourceDefinitionVersion.deprecationWarning",
        "CustomResourceSubresourceScale.labelSelectorPath", "JSONSchemaProps.x-kubernetes-list-type",
        "JSONSchemaProps.x-kubernetes-map-type", "SuccessPolicyRule.succeededIndexes",
        "PodFailurePolicyOnExitCodesRequirement.containerName", "JobStatus.failedIndexes",
    )
)  # fmt: skip

_NOT_HERE = frozenset(("IngressClassSpec.controller", "CustomResourceColumnDefinition.priority"))

_DISCOVERY = frozenset(("EndpointPort.port", "EndpointPort.name", "EndpointPort.protocol"))
"""Pointers in an EndpointSlice, and none in Endpoints."""


def is_pointer(message: str, json: str) -> bool:
    """Whether a message's field, by its JSON name, is a pointer in Go."""
    name = f"{message.rpartition('.')[2]}.{json}"
    if name in _DISCOVERY:
        return ".discovery." in message
    return name in _HERE or (json in _ANYWHERE and name not in _NOT_HERE)
