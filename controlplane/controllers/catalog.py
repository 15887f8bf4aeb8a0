"""All controllers of the controller manager, by the names `--controllers` knows, in the order they are built."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .certificates.reconcile import Certificates
from .context import Context, Loop
from .cronjob.reconcile import CronJobs
from .daemonset.reconcile import DaemonSets
from .deployment.reconcile import Deployments
from .disruption.reconcile import Disruption
from .endpoints.reconcile import Endpoints
from .endpointslice.reconcile import EndpointSlices
from .garbage.reconcile import Garbage
from .job.reconcile import Jobs
from .mirroring.reconcile import Mirroring
from .namespace.reconcile import Namespaces
from .nodeipam.reconcile import NodeIPAM
from .nodelifecycle.reconcile import NodeLifecycle
from .persistentvolume.protection import ClaimProtection, VolumeProtection
from .persistentvolume.reconcile import Binder
from .podautoscaler.reconcile import HorizontalPodAutoscalers
from .podgc.reconcile import PodGC
from .quota.reconcile import Quotas
from .replicaset.reconcile import ReplicaSets, ReplicationControllers
from .roleaggregation.reconcile import RoleAggregation
from .rootca.reconcile import RootCA
from .serviceaccount.reconcile import ServiceAccounts
from .statefulset.reconcile import StatefulSets

CONTROLLERS: tuple[tuple[str, Callable[[Context], Loop]], ...] = (
    ("serviceaccount-controller", ServiceAccounts),
    ("root-ca-certificate-publisher-controller", RootCA),
    ("node-lifecycle-controller", NodeLifecycle),
    ("node-ipam-controller", NodeIPAM),
    ("deployment-controller", Deployments),
    ("replicaset-controller", ReplicaSets),
    ("replicationcontroller-controller", ReplicationControllers),
    ("daemonset-controller", DaemonSets),
    ("statefulset-controller", StatefulSets),
    ("job-controller", Jobs),
    ("cronjob-controller", CronJobs),
    ("horizontal-pod-autoscaler-controller", HorizontalPodAutoscalers),
    ("disruption-controller", Disruption),
    ("resourcequota-controller", Quotas),
    ("certificatesigningrequest-signing-controller", Certificates),
    ("clusterrole-aggregation-controller", RoleAggregation),
    ("persistentvolume-binder-controller", Binder),
    ("persistentvolumeclaim-protection-controller", ClaimProtection),
    ("persistentvolume-protection-controller", VolumeProtection),
    ("endpointslice-controller", EndpointSlices),
    ("endpoints-controller", Endpoints),
    ("endpointslice-mirroring-controller", Mirroring),
    ("namespace-controller", Namespaces),
    ("pod-garbage-collector-controller", PodGC),
    ("garbage-collector-controller", Garbage),
)
"""The garbage collector comes last: it follows along with whatever the others watch."""


def chosen(wanted: Sequence[str]) -> list[str]:
    """The names that a `--controllers` list turns on: `*` is all, `-name` turns one off. Raises ValueError."""
    known = [name for name, _ in CONTROLLERS]
    plain = [item.removeprefix("-") for item in wanted if item != "*"]
    if unknown := [item for item in plain if item not in known]:
        raise ValueError(f"{unknown[0]!r} is not in the list of known controllers")
    everything = "*" in wanted
    return [name for name in known if f"-{name}" not in wanted and (everything or name in wanted)]
