"""How the hosts of a LAN find together that are alone on their machines: by a folder that they share.

The control plane writes there what `panal token create` would print (address, tokens, the hash of its CA), no keys;
the others read it, join as `panal node join` does, and keep their own keys. There are two tokens: one is good for a
node's certificate, the other for that of the load balancer or the DNS server, and for nothing else.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import orjson

from panal import bootstraptoken, bundled, joinobjects
from panal.client import Client, Unreachable
from panal.config import ClusterConfig, NodeSpec, dump, load_node
from panal.errors import StatusError, Unauthorized
from panal.kubeconfig import Access, access, document, write_private
from panal.paths import ClusterPaths
from panal.pki import Pair, context_name, node_server

from ...join import certificates, discovery, handshake
from ...join.refused import Refused
from ..prepare import node_config

FILE = "join.json"
LIMIT = 1 << 16
AGAIN = 1.0
"""Seconds between attempts, of the file and of the join."""
OLD = 1 / 3
"""A certificate with less of its life left than this is renewed."""
SIGNER = "kubernetes.io/kube-apiserver-client"

Object = dict[str, Any]
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Invitation:
    """What stands in the shared folder."""

    endpoint: str
    node_token: str = dataclasses.field(repr=False)
    lan_token: str = dataclasses.field(repr=False)
    pin: str

    def document(self) -> bytes:
        return orjson.dumps(dataclasses.asdict(self), option=orjson.OPT_INDENT_2)


def read(folder: Path) -> Invitation | None:
    """None where there is none, or nothing that can be read."""
    try:
        found = orjson.loads((folder / FILE).read_bytes()[:LIMIT])
        invitation = Invitation(**{field.name: str(found[field.name]) for field in dataclasses.fields(Invitation)})
        bootstraptoken.split(invitation.node_token)
        bootstraptoken.split(invitation.lan_token)
        bootstraptoken.check_pin(invitation.pin)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return invitation


def invite(config: ClusterConfig, paths: ClusterPaths) -> tuple[Invitation, list[Object]]:
    """The control plane's invitation, the same as last time if its CA is, and the objects that make it good."""
    assert config.alone is not None
    authority = (paths.pki / "ca.crt").read_bytes()
    pin = bootstraptoken.pin(authority)
    found = read(Path(config.alone.join))
    if found is None or found.pin != pin:
        new = (bootstraptoken.generate(os.urandom(128)) for _ in range(2))
        found = Invitation(f"{config.control_plane.address}:6443", next(new), next(new), pin)
    node, lan = found.node_token, found.lan_token
    known = dict([bootstraptoken.split(node), bootstraptoken.split(lan)])
    objects = [
        *joinobjects.rights(),
        *joinobjects.lan_rights(),
        joinobjects.configuration(config, paths, bundled.VERSION),
        bootstraptoken.secret(node, "nodes that share the control plane's folder", None),
        bootstraptoken.secret(lan, "hosts of the LAN that share the folder", None, joinobjects.LAN_JOINERS),
        bootstraptoken.cluster_info(node_server(config), authority, known),
    ]
    return found, objects


def publish(config: ClusterConfig, invitation: Invitation) -> None:
    """Raises OSError."""
    assert config.alone is not None
    write_private(Path(config.alone.join) / FILE, invitation.document())


def enrol(config: ClusterConfig, paths: ClusterPaths) -> None:
    """Get the host's certificates, unless it has good ones from before. Waits for the control plane. Raises OSError."""
    assert config.alone is not None
    now = datetime.datetime.now(datetime.UTC)
    for node in config.nodes_here:
        place = paths.node(node.name)
        if place.kubeconfig.exists() and place.config.exists():
            _configure(config, paths, node, load_node(place.config).node.pod_cidr)
            if (left := life_left(place.kubeconfig, now)) < OLD:
                attempt = functools.partial(_renew if left > 0 else _node, config, paths)
                asyncio.run(_until_done(config, attempt))
        else:
            asyncio.run(_until_done(config, functools.partial(_node, config, paths)))
    for host, (file, user) in lan_users(config).items():
        known = paths.root / file
        if host == config.alone.host and (not known.exists() or life_left(known, now) < OLD):
            asyncio.run(_until_done(config, functools.partial(_host, config, paths, file, user)))


def lan_users(config: ClusterConfig) -> dict[str, tuple[str, str]]:
    """Host -> its kubeconfig's name in the cluster's folder, and its user."""
    return {
        config.load_balancer.name: ("lb.conf", "panal:load-balancer"),
        config.external_dns.name: ("dns.conf", "panal:external-dns"),
    }


async def _until_done(config: ClusterConfig, attempt: Callable[[Invitation], Coroutine[Any, Any, None]]) -> None:
    assert config.alone is not None
    said = ""
    while True:
        invitation = read(Path(config.alone.join))
        words = f"waiting for the control plane to write {config.alone.join}/{FILE}"
        if invitation is not None:
            try:
                await attempt(invitation)
                return
            except (Refused, Unreachable, Unauthorized, StatusError) as error:
                words = str(error)
        if words != said:
            _log.info("%s", words)
        said = words
        await asyncio.sleep(AGAIN)


async def _node(config: ClusterConfig, paths: ClusterPaths, invitation: Invitation) -> None:
    """As `panal node join` does; what the node is told by the configuration it has already."""
    (node,) = config.nodes_here
    wish = handshake.Wish(invitation.endpoint, invitation.node_token, invitation.pin, node.name)
    found = await handshake.join(wish, lambda words: _log.info("%s", words))
    place = paths.node(node.name)
    _configure(config, paths, node, found.pod_cidr)
    write_private(place.root / "pki" / "kubelet.key", found.serving.key)
    write_private(place.root / "pki" / "kubelet.crt", found.serving.certificate)
    write_private(paths.pki / "ca.crt", found.authority)
    _kubeconfig(config, place.kubeconfig, f"system:node:{node.name}", found.authority, found.client)


def life_left(config: Path, now: datetime.datetime) -> float:
    """The part of its life that the certificate of this kubeconfig has left: 1 when new, 0 or less when it is over."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(access(config).certificate or b"")
    except ValueError:
        return 0.0
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    return (ends - now) / (ends - begins)


async def _renew(config: ClusterConfig, paths: ClusterPaths, _: Invitation) -> None:
    """With the certificate that the node has, while it is good: a node of the cluster needs no token."""
    (node,) = config.nodes_here
    place = paths.node(node.name)
    how = access(place.kubeconfig)
    async with Client(how, user_agent="panal-join") as client:
        pair = await certificates.certificate(client, certificates.CLIENT, node.name)
        hosts = [node.name, node.address]
        serving = await certificates.certificate(client, certificates.SERVING, node.name, hosts)
    write_private(place.root / "pki" / "kubelet.key", serving.key)
    write_private(place.root / "pki" / "kubelet.crt", serving.certificate)
    _kubeconfig(config, place.kubeconfig, f"system:node:{node.name}", how.ca or b"", pair)
    _log.info("the certificates of %s are renewed", node.name)


def _configure(config: ClusterConfig, paths: ClusterPaths, node: NodeSpec, pod_cidr: str) -> None:
    """As the cluster.yaml says, but with the part of the pod network that the cluster gave."""
    settings = node_config(config, paths, node.name)
    settings = dataclasses.replace(settings, node=dataclasses.replace(node, pod_cidr=pod_cidr))
    write_private(paths.node(node.name).config, dump(settings))


async def _host(config: ClusterConfig, paths: ClusterPaths, file: str, user: str, invitation: Invitation) -> None:
    """The same for a host that is no node: one certificate, of one of two users, is all it gets."""
    authority = await discovery.authority(invitation.endpoint, invitation.lan_token, invitation.pin)
    how = Access(server=node_server(config), ca=authority, token=invitation.lan_token)
    async with Client(how, user_agent="panal-join") as client:
        pair = await certificates.certificate(client, SIGNER, user, group=joinobjects.LAN_GROUP)
    _kubeconfig(config, paths.root / file, user, authority, pair)


def _kubeconfig(config: ClusterConfig, path: Path, user: str, authority: bytes, pair: Pair) -> None:
    text = document(
        context_name(config.name),
        server=node_server(config),
        ca=authority,
        certificate=pair.certificate,
        key=pair.key,
        user=user,
    )
    write_private(path, orjson.dumps(text))


def manifests(folder: Path) -> list[Object]:
    """The objects of the YAML files in it, by the files' names. Raises OSError, ValueError."""
    import yaml

    found: list[Object] = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("*.json")]):
        try:
            items: Sequence[Any] = list(yaml.safe_load_all(path.read_text()))
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no YAML: {error}") from error
        for obj in filter(None, items):
            if not isinstance(obj, dict) or not isinstance(obj.get("kind"), str) or "metadata" not in obj:
                raise ValueError(f"{path}: what stands there is no Kubernetes object")
            found.append(obj)
    return [_placed(obj) for obj in found]


def _placed(obj: Object) -> Object:
    """With the namespace that kubectl would give it."""
    from panal import resources

    kind = resources.by_kind(str(obj.get("apiVersion")), obj["kind"])
    if kind is None:
        raise ValueError(f"{obj.get('apiVersion')} {obj['kind']}: no such kind")
    if not kind.namespaced:
        return obj
    return {**obj, "metadata": {"namespace": "default", **obj["metadata"]}}
