"""Which part of the cluster acts on which resource: whatever is not named here is stored and validated only.

`docs/compatibility.md` is generated from it, and `panal fidelity` tells from it what in a cluster nobody acts on.
Whoever makes a resource act adds it here, in the same commit.
"""

from __future__ import annotations

_ADMISSION = "API server's admission"
_CONTROLLERS = "controller manager"
_REVIEW = "API server (answered, never stored)"

ACTS: dict[str, str] = {
    "pods": "scheduler, kubelet, API server",
    "nodes": "kubelet, scheduler, node lifecycle controller",
    "leases.coordination.k8s.io": "kubelet, node lifecycle controller, leader election",
    "deployments.apps": _CONTROLLERS,
    "replicasets.apps": _CONTROLLERS,
    "daemonsets.apps": _CONTROLLERS,
    "statefulsets.apps": _CONTROLLERS,
    "controllerrevisions.apps": _CONTROLLERS,
    "replicationcontrollers": _CONTROLLERS,
    "jobs.batch": _CONTROLLERS,
    "cronjobs.batch": _CONTROLLERS,
    "horizontalpodautoscalers.autoscaling": _CONTROLLERS,
    "certificatesigningrequests.certificates.k8s.io": f"{_CONTROLLERS} (approved for kubelets, signed, cleared away)",
    "services": "API server (addresses and node ports), kube-proxy, cluster DNS, external load balancer",
    "endpoints": f"{_CONTROLLERS} (written, and mirrored to EndpointSlices)",
    "endpointslices.discovery.k8s.io": f"{_CONTROLLERS}, kube-proxy, cluster DNS, ingress controller",
    "ingresses.networking.k8s.io": "ingress controller, external DNS",
    "ingressclasses.networking.k8s.io": f"ingress controller, {_ADMISSION} (default class)",
    "namespaces": f"{_CONTROLLERS}, {_ADMISSION}",
    "serviceaccounts": f"{_CONTROLLERS}, API server (tokens)",
    "persistentvolumeclaims": f"{_CONTROLLERS}, scheduler, kubelet, {_ADMISSION}",
    "persistentvolumes": f"{_CONTROLLERS}, scheduler, kubelet, {_ADMISSION}",
    "storageclasses.storage.k8s.io": f"{_CONTROLLERS} (panal.dev/local-path), scheduler, {_ADMISSION} (default class)",
    "configmaps": "kubelet, controller manager (kube-root-ca.crt)",
    "secrets": "kubelet, ingress controller",
    "events": "written by every component, kept for an hour",
    "events.events.k8s.io": "the same objects' newer form",
    "roles.rbac.authorization.k8s.io": "API server: RBAC is always on",
    "clusterroles.rbac.authorization.k8s.io": "API server: RBAC is always on; controller manager (aggregation)",
    "rolebindings.rbac.authorization.k8s.io": "API server: RBAC is always on",
    "clusterrolebindings.rbac.authorization.k8s.io": "API server: RBAC is always on",
    "limitranges": _ADMISSION,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _ADMISSION,
    "mutatingadmissionpolicies.admissionregistration.k8s.io": _ADMISSION,
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io": _ADMISSION,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _ADMISSION,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": _ADMISSION,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _ADMISSION,
    "customresourcedefinitions.apiextensions.k8s.io": "API server (serves their objects)",
    "resourcequotas": f"{_ADMISSION}, {_CONTROLLERS} (status)",
    "priorityclasses.scheduling.k8s.io": f"{_ADMISSION}, scheduler",
    "runtimeclasses.node.k8s.io": f"{_ADMISSION}: overhead and scheduling; handlers are not told apart",
    "flowschemas.flowcontrol.apiserver.k8s.io": "API server (classifies requests; no queues)",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": "API server (whether a flow is exempt from its limits)",
    "poddisruptionbudgets.policy": f"API server (evictions), {_CONTROLLERS} (status)",
    "bindings": "API server",
    "componentstatuses": "API server",
    "tokenreviews.authentication.k8s.io": _REVIEW,
    "selfsubjectreviews.authentication.k8s.io": _REVIEW,
    "subjectaccessreviews.authorization.k8s.io": _REVIEW,
    "selfsubjectaccessreviews.authorization.k8s.io": _REVIEW,
    "selfsubjectrulesreviews.authorization.k8s.io": _REVIEW,
    "localsubjectaccessreviews.authorization.k8s.io": _REVIEW,
}
"""Resource, as RBAC names it -> who acts on it."""
