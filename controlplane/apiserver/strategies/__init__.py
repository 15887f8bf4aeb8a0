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
    ("batch", "jobs"): "workloads:JobStrategy",
    ("batch", "cronjobs"): "workloads:CronJobStrategy",
    ("autoscaling", "horizontalpodautoscalers"): "workloads:AutoscalerStrategy",
    ("policy", "poddisruptionbudgets"): "workloads:DisruptionBudgetStrategy",
    (_NET, "ingresses"): "others:IngressStrategy",
    (_NET, "ingressclasses"): "others:IngressClassStrategy",
    (_NET, "networkpolicies"): "others:NetworkPolicyStrategy",
    (_NET, "ipaddresses"): "others:GenerationStrategy",
    (_NET, "servicecidrs"): "others:GenerationStrategy",
    ("coordination.k8s.io", "leases"): "others:LeaseStrategy",
    ("scheduling.k8s.io", "priorityclasses"): "others:PriorityClassStrategy",
    ("node.k8s.io", "runtimeclasses"): "others:StrictStrategy",
    (_STORAGE, "storageclasses"): "others:StorageClassStrategy",
    (_STORAGE, "csidrivers"): "others:CSIDriverStrategy",
    (_STORAGE, "csinodes"): "others:StrictStrategy",
    (_STORAGE, "volumeattachments"): "others:StrictStrategy",
    (_RBAC, "roles"): "others:RoleStrategy",
    (_RBAC, "clusterroles"): "others:RoleStrategy",
    (_RBAC, "rolebindings"): "others:RoleBindingStrategy",
    (_RBAC, "clusterrolebindings"): "others:RoleBindingStrategy",
    (_HOOKS, "validatingwebhookconfigurations"): "others:WebhookStrategy",
    (_HOOKS, "mutatingwebhookconfigurations"): "others:WebhookStrategy",
    (_HOOKS, "validatingadmissionpolicies"): "others:AdmissionPolicyStrategy",
    (_HOOKS, "mutatingadmissionpolicies"): "others:AdmissionPolicyStrategy",
    (_HOOKS, "validatingadmissionpolicybindings"): "others:AdmissionPolicyBindingStrategy",
    (_HOOKS, "mutatingadmissionpolicybindings"): "others:AdmissionPolicyBindingStrategy",
    ("apiextensions.k8s.io", "customresourcedefinitions"): "others:CustomResourceDefinitionStrategy",
    ("apiregistration.k8s.io", "apiservices"): "others:APIServiceStrategy",
    ("certificates.k8s.io", "certificatesigningrequests"): "others:SigningRequestStrategy",
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): "others:FlowSchemaStrategy",
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): "others:PriorityLevelStrategy",
    ("resource.k8s.io", "resourceslices"): "others:ResourceSliceStrategy",
    ("resource.k8s.io", "resourceclaims"): "others:ResourceClaimStrategy",
    ("resource.k8s.io", "resourceclaimtemplates"): "others:ResourceClaimTemplateStrategy",
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
