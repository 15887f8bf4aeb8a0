"""What a membership is on disk: the folder that the steward of a machine that joined begins with.

The folder goes with the steward. `keep` puts what it began with into one file beside it, from which `put` makes it
again: a machine that was restarted is the same node, with the same keys.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import PurePosixPath

import orjson

from panal.config import ClusterConfig, Joined, NodeConfig, NodeSpec, dump, parse_cluster
from panal.kubeconfig import document, write_private
from panal.paths import ClusterPaths
from panal.pki import Pair

from .handshake import Membership


def cluster_config(found: Membership, name: str, runtime: str = "namespaces") -> ClusterConfig:
    """The configuration of the machine's one node."""
    facts = found.facts
    inside = facts.network == "netns"
    return ClusterConfig(
        name=name,
        network=facts.network,  # type: ignore[arg-type]
        proxy_mode=facts.proxy_mode,  # type: ignore[arg-type]
        runtime=runtime,  # type: ignore[arg-type]
        nodes=(
            NodeSpec(
                found.node, found.address, found.pod_cidr, cpu=_cores(), memory=_memory(), ephemeral_storage=_disk()
            ),
        ),
        hosts=(),
        lan=facts.lan,
        pod_cidr=facts.pod_cidr,
        service_cidr=facts.service_cidr,
        dns_service_ip=facts.cluster_dns,
        cluster_domain=facts.cluster_domain,
        joined=Joined(
            endpoint=found.endpoint,
            server=facts.server if inside else f"https://{found.endpoint}",
            home=facts.home,
            relay_port=facts.relay_port if inside else 0,
            center=facts.center,
            vxlan=facts.vxlan,
        ),
    )


def node_config(found: Membership, config: ClusterConfig, paths: ClusterPaths) -> NodeConfig:
    """What the node's processes need to know."""
    assert config.joined is not None
    return NodeConfig(
        cluster=found.facts.cluster,
        node=config.nodes[0],
        network=config.network,
        proxy_mode=config.proxy_mode,
        runtime=config.runtime,
        home=os.fspath(paths.root),
        server=config.joined.server,
        cluster_dns=config.dns_service_ip,
        cluster_domain=config.cluster_domain,
        service_cidr=config.service_cidr,
        cluster_pod_cidr=config.pod_cidr,
        resolver=found.facts.resolver if config.network == "netns" else None,
        foreign_home=found.facts.home,
    )


def write(found: Membership, config: ClusterConfig, paths: ClusterPaths) -> None:
    """Keys, certificates and the node's configuration; keys are 0600. Raises OSError."""
    place = paths.node(found.node)
    for folder in (place.manifests, place.root / "pki", paths.pki, paths.run):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (paths.pki / "ca.crt").write_bytes(found.authority)
    write_client(paths, config, found.client)
    write_serving(paths, found.node, found.serving)
    write_private(place.config, dump(node_config(found, config, paths)))


def write_client(paths: ClusterPaths, config: ClusterConfig, pair: Pair) -> None:
    """The kubelet's kubeconfig, and the pair by itself for the relay."""
    assert config.joined is not None
    node = config.nodes[0].name
    user = f"system:node:{node}"
    authority = (paths.pki / "ca.crt").read_bytes()
    text = document(
        config.name,
        server=config.joined.server,
        ca=authority,
        certificate=pair.certificate,
        key=pair.key,
        user=user,
    )
    write_private(paths.node(node).kubeconfig, orjson.dumps(text))
    folder = paths.node(node).root / "pki"
    write_private(folder / "kubelet-client.key", pair.key)
    write_private(folder / "kubelet-client.crt", pair.certificate)


def write_serving(paths: ClusterPaths, node: str, pair: Pair) -> None:
    folder = paths.node(node).root / "pki"
    write_private(folder / "kubelet.key", pair.key)
    write_private(folder / "kubelet.crt", pair.certificate)


def keep(config: ClusterConfig, paths: ClusterPaths) -> None:
    """Remember the membership as it is now. Raises OSError."""
    place = paths.node(config.nodes[0].name)
    files = [paths.pki / "ca.crt", place.config, place.kubeconfig, *sorted((place.root / "pki").glob("kubelet*"))]
    content = {os.fspath(file.relative_to(paths.root)): file.read_text() for file in files}
    write_private(paths.membership, orjson.dumps({"config": orjson.loads(dump(config)), "files": content}))


def kept(paths: ClusterPaths) -> tuple[ClusterConfig, dict[str, str]] | None:
    """The configuration and the files; None where this machine is no member. Raises OSError, ValueError."""
    try:
        found = orjson.loads(paths.membership.read_bytes())
    except FileNotFoundError:
        return None
    try:
        return parse_cluster(orjson.dumps(found["config"])), dict(found["files"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{paths.membership} is not what `panal node join` wrote: {error}") from error


def put(config: ClusterConfig, files: dict[str, str], paths: ClusterPaths) -> None:
    """Make the folder again that `write` made. Raises OSError, ValueError."""
    for folder in (paths.node(config.nodes[0].name).manifests, paths.run):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in files.items():
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{paths.membership} names the file {name!r}")
        write_private(paths.root / name, text.encode())


def moved(config: ClusterConfig, endpoint: str) -> ClusterConfig:
    """The same membership of a cluster that is at another address now."""
    assert config.joined is not None
    return dataclasses.replace(config, joined=dataclasses.replace(config.joined, endpoint=endpoint))


def _cores() -> str:
    return str(len(os.sched_getaffinity(0)))


def _memory() -> str:
    """What the machine has, as a quantity."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages // (1 << 20)}Mi"


def _disk() -> str:
    """The file system of the user's files, as a quantity."""
    found = os.statvfs(os.path.expanduser("~"))
    return f"{found.f_blocks * found.f_frsize // (1 << 20)}Mi"
