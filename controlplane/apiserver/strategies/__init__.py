"""Which kind behaves how: one table from group and plural to the Strategy class, each group in a module of its own.

A module is imported when a resource of its group is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from panal.resources import Resource

if TYPE_CHECKING:
    from ..strategy import Strategy

_RBAC = "rbac.authorization.k8s.io"
_HOOKS = "admissionregistration.k8s.io"
_STORAGE = "storage.k8s.io"
_NET = "networking.k8s.io"

_CLASSES: dict[tuple[str, str], str] = {
    ("", "pods"): "pods:PodStrategy",
    ("", "nodes"): "core:NodeStrategy",
    ("", "namespaces"): "core:NamespaceStrategy",
    ("", "services"): "services:ServiceStrategy",
    ("", "endpoints"): "services:EndpointsStrategy",
    ("discovery.k8s.io", "endpointslices"): "services:EndpointSliceStrategy",
    ("", "configmaps"): "core:ConfigMapStrategy",
    ("", "secrets"): "core:SecretStrategy",
    ("", "serviceaccounts"): "core:NamedStrategy",
    ("", "events"): "core:EventStrategy",
    ("events.k8s.io", "events"): "core:NewEventStrategy",
    ("", "limitranges"): "core:LimitRangeStrategy",
    ("", "resourcequotas"): "core:ResourceQuotaStrategy",
    ("", "persistentvolumes"): "core:PersistentVolumeStrategy",
    ("", "persistentvolumeclaims"): "core:PersistentVolumeClaimStrategy",
    ("", "podtemplates"): "core:PodTemplateStrategy",
    ("", "replicationcontrollers"): "workloads:ReplicationControllerStrategy",
    ("apps", "deployments"): "workloads:DeploymentStrategy",
    ("apps", "replicasets"): "workloads:ReplicaSetStrategy",
    ("apps", "daemonsets"): "workloads:DaemonSetStrategy",
    ("apps", "statefulsets"): "workloads:StatefulSetStrategy",
    ("apps", "controllerrevisions"): "workloads:ControllerRevisionStrategy",
    ("batch", "jobs"): "workloads:JobStrategy",
    ("batch", "cronjobs"): "workloads:CronJobStrategy",
    ("autoscaling", "horizontalpodautoscalers"): "workloads:AutoscalerStrategy",
    ("policy", "poddisruptionbudgets"): "workloads:DisruptionBudgetStrategy",
    (_NET, "ingresses"): "networking:IngressStrategy",
    (_NET, "ingressclasses"): "networking:IngressClassStrategy",
    (_NET, "networkpolicies"): "networking:NetworkPolicyStrategy",
    (_NET, "ipaddresses"): "networking:IPAddressStrategy",
    (_NET, "servicecidrs"): "networking:ServiceCIDRStrategy",
    ("coordination.k8s.io", "leases"): "classes:LeaseStrategy",
    ("scheduling.k8s.io", "priorityclasses"): "classes:PriorityClassStrategy",
    ("node.k8s.io", "runtimeclasses"): "classes:RuntimeClassStrategy",
    (_STORAGE, "storageclasses"): "storage:StorageClassStrategy",
    (_STORAGE, "csidrivers"): "storage:CSIDriverStrategy",
    (_STORAGE, "csinodes"): "storage:CSINodeStrategy",
    (_STORAGE, "volumeattachments"): "storage:VolumeAttachmentStrategy",
    (_STORAGE, "csistoragecapacities"): "storage:StorageCapacityStrategy",
    (_STORAGE, "volumeattributesclasses"): "storage:AttributesClassStrategy",
    (_RBAC, "roles"): "rbac:RoleStrategy",
    (_RBAC, "clusterroles"): "rbac:RoleStrategy",
    (_RBAC, "rolebindings"): "rbac:RoleBindingStrategy",
    (_RBAC, "clusterrolebindings"): "rbac:RoleBindingStrategy",
    (_HOOKS, "validatingwebhookconfigurations"): "admission:WebhookStrategy",
    (_HOOKS, "mutatingwebhookconfigurations"): "admission:WebhookStrategy",
    (_HOOKS, "validatingadmissionpolicies"): "admission:ValidatingPolicyStrategy",
    (_HOOKS, "mutatingadmissionpolicies"): "admission:MutatingPolicyStrategy",
    (_HOOKS, "validatingadmissionpolicybindings"): "admission:ValidatingBindingStrategy",
    (_HOOKS, "mutatingadmissionpolicybindings"): "admission:MutatingBindingStrategy",
    ("apiextensions.k8s.io", "customresourcedefinitions"): "extensions:CustomResourceDefinitionStrategy",
    ("apiregistration.k8s.io", "apiservices"): "extensions:APIServiceStrategy",
    ("certificates.k8s.io", "certificatesigningrequests"): "certificates:SigningRequestStrategy",
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): "flowcontrol:FlowSchemaStrategy",
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): "flowcontrol:PriorityLevelStrategy",
    ("resource.k8s.io", "deviceclasses"): "claims:DeviceClassStrategy",
    ("resource.k8s.io", "resourceslices"): "claims:ResourceSliceStrategy",
    ("resource.k8s.io", "resourceclaims"): "claims:ResourceClaimStrategy",
    ("resource.k8s.io", "resourceclaimtemplates"): "claims:ResourceClaimTemplateStrategy",
}
"""(group, plural) -> "module:class" in this folder."""


def strategy_class(resource: Resource) -> type[Strategy]:
    from ..strategy import Strategy

    where = _CLASSES.get((resource.group, resource.plural))
    if where is None:
        return Strategy
    module, _, name = where.partition(":")
    found: type[Strategy] = getattr(import_module(f".{module}", __name__), name)
    return found
