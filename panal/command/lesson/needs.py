"""The cluster for a lesson: the one that runs, checked against the `panal up --config FILE` of the lesson's README."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panal import clusterfile
from panal.clusterfields import ClusterFileError
from panal.paths import ClusterPaths

from ..failure import Failure
from ..running import answers, cluster, configuration, paths_of
from .readme import Lesson

_UP = re.compile(r"panal up --config (examples/[a-z0-9-]+/cluster\.yaml)")


LACKING = {
    "netns": "it shows hosts with networks of their own, and in the network {network!r} all of them are this machine; "
    "see `panal up --network netns`.",
    "netfilter": "it shows the kernel's rules, and the kube-proxies of this cluster forward in user space; "
    "see `panal up --proxy-mode netfilter`.",
}


def _file(told: Lesson) -> str | None:
    """The cluster.yaml the lesson is for, as its README names it; None: that of a plain `panal up`."""
    return next((found.group(1) for step in told.steps if (found := _UP.match(step.plain))), None)


def _document(file: str, root: Path) -> Mapping[str, Any]:
    try:
        return clusterfile.read(root / file)
    except ClusterFileError as error:
        raise Failure(str(error)) from error


def cluster_of(name: str | None, told: Lesson, root: Path, environ: Mapping[str, str]) -> ClusterPaths:
    """The named cluster, that of the lesson's own cluster.yaml, or the one that runs. Raises Failure."""
    file = _file(told)
    if name is None and file:
        own = str(_document(file, root).get("metadata", {}).get("name") or "")
        if own and answers(paths_of(own, environ)):
            return paths_of(own, environ)
    try:
        return cluster(name, environ)
    except Failure as failure:
        if file is None:
            raise
        raise Failure(f"{failure} This lesson is for `panal up --config {file}`.") from failure


def check_cluster(told: Lesson, paths: ClusterPaths, root: Path) -> None:
    """Whether it is of the kind the lesson needs, and has the nodes and hosts of its cluster.yaml. Raises Failure."""
    running = configuration(paths)
    for need, why in LACKING.items():
        if need in told.needs and need not in (running.network, running.proxy_mode):
            raise Failure(
                f"this lesson is not for the cluster {paths.root.name!r}: {why.format(network=running.network)}"
            )
    file = _file(told)
    if file is None:
        return
    spec = _document(file, root).get("spec", {})
    nodes = {node.name for node in running.nodes}
    hosts = {host.name for host in running.hosts}
    wanted = {item["name"] for item in spec.get("nodes", ())}
    missing = (wanted ^ nodes if wanted else set()) | ({item["name"] for item in spec.get("hosts", ())} - hosts)
    if missing:
        raise Failure(
            f"the cluster {paths.root.name!r} is not the one this lesson is for ({', '.join(sorted(missing))}); "
            f"start that with `panal up --config {file}`, beside this one or in its place."
        )
