"""Keeps a joined node's certificates good: new ones are asked for when a fifth of their life is left.

The node's own client certificate vouches for it. The kubelet is started again with them; its pods don't notice.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import random

from panal.client import Client, Unreachable
from panal.config import ClusterConfig
from panal.errors import StatusError
from panal.paths import ClusterPaths

from . import certificates, member
from .refused import Refused

LEFT = 0.2
"""The part of its life that a certificate has left when it is renewed; the kubelet's is between 0.1 and 0.3."""
AGAIN, LONGEST = 60.0, 86400.0
"""Seconds until the next attempt after a failed one, and between two looks: clocks stop while a machine sleeps."""

_log = logging.getLogger(__name__)


def due(certificate: bytes, now: datetime.datetime) -> float:
    """Seconds until this certificate (PEM) is to be renewed; none or fewer for at once."""
    from cryptography import x509

    found = x509.load_pem_x509_certificate(certificate)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return (found.not_valid_after_utc - life * LEFT - now).total_seconds()


async def keep_renewed(client: Client, config: ClusterConfig, paths: ClusterPaths) -> None:
    """Until cancelled."""
    folder = paths.node(config.nodes[0].name).root / "pki"
    while True:
        now = datetime.datetime.now(datetime.UTC)
        waits = [due((folder / name).read_bytes(), now) for name in ("kubelet-client.crt", "kubelet.crt")]
        if min(waits) > 0:
            await asyncio.sleep(min(*waits, LONGEST) + random.uniform(0, 1))
            continue
        try:
            await renew(client, config, paths)
        except (Refused, StatusError, Unreachable, OSError) as error:
            _log.warning("the certificates can't be renewed now: %s", error)
            await asyncio.sleep(AGAIN)


async def renew(client: Client, config: ClusterConfig, paths: ClusterPaths, seconds: int | None = None) -> None:
    """Get new certificates, write them, and start the kubelet again. Raises Refused, StatusError, Unreachable."""
    node = config.nodes[0]
    pair = await certificates.certificate(client, certificates.CLIENT, node.name, seconds=seconds)
    hosts = [node.name, node.address]
    serving = await certificates.certificate(client, certificates.SERVING, node.name, hosts, seconds=seconds)
    member.write_client(paths, config, pair)
    member.write_serving(paths, node.name, serving)
    member.keep(config, paths)
    _log.info("certificates renewed until %s", certificates.ends(pair.certificate))
    for component in (f"kubelet-{node.name}", "relay"):
        await _restart(paths, component)


async def _restart(paths: ClusterPaths, component: str) -> None:
    reader, writer = await asyncio.open_unix_connection(paths.steward_socket)
    writer.write(json.dumps({"do": "restart", "component": component}).encode() + b"\n")
    await reader.readline()
    writer.close()
