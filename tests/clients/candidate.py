"""A candidate in the official client's leader election: `candidate.py KUBECONFIG NAMESPACE NAME` says if it leads."""

from __future__ import annotations

import sys

from kubernetes import config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock


def main(kubeconfig: str, namespace: str, name: str) -> None:
    config.load_kube_config(kubeconfig)
    settings = electionconfig.Config(
        ConfigMapLock("leader", namespace, name),
        lease_duration=1.4,
        renew_deadline=1.3,
        retry_period=1,
        onstarted_leading=lambda: print(name, flush=True),
        onstopped_leading=lambda: None,
    )
    leaderelection.LeaderElection(settings).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
