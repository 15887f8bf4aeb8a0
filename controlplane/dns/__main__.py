"""The cluster DNS: a pod behind the `kube-dns` Service, which every pod's resolv.conf names.

Flags are CoreDNS' own (`-conf`, `-dns.port`); `--bind`, `--cluster-dns` and `--kubeconfig` are Panal's.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from panal import log
from panal.addresses import in_loopback
from panal.client import Client
from panal.kubeconfig import KubeconfigError
from panal.tasks import run_until_signal

from .build import inside
from .corefile import CorefileError
from .running import Running

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    options = _parser().parse_args(argv)
    log.setup("cluster-dns")
    pod_ip = os.environ.get("POD_IP")
    bind = options.bind or (pod_ip if in_loopback() and pod_ip else "0.0.0.0")
    own = [address for address in (pod_ip, options.bind, options.cluster_dns) if address]
    try:
        client = Client.from_kubeconfig(options.kubeconfig) if options.kubeconfig else Client.in_cluster(os.environ)
        running = Running(
            inside(Path(os.environ.get("PANAL_ROOT") or "/"), options.conf),
            os.environ,
            client,
            bind=bind,
            port=options.port,
            own=own,
            address=options.cluster_dns or pod_ip,
        )
        run_until_signal(running.run)
        return running.exit_code
    except KeyError as error:
        _log.critical("not in a pod (%s is not set), and no --kubeconfig", error)
    except CorefileError as error:
        _log.critical("%s", error)
    except (OSError, KubeconfigError) as error:
        _log.critical("%s", error)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster-dns", description="DNS for Services and pods.", allow_abbrev=False)
    parser.add_argument("-conf", "--conf", default="Corefile", help="Corefile to load (default %(default)r)")
    parser.add_argument(
        "-dns.port", "-p", dest="port", type=int, default=None, help="port to serve on (default: the Corefile's)"
    )
    parser.add_argument("--bind", help="address to serve on (default: every address; $POD_IP in the loopback network)")
    parser.add_argument("--cluster-dns", help="address of the kube-dns Service: the answer for ns.dns.CLUSTER-DOMAIN")
    parser.add_argument("--kubeconfig", help="default: the pod's service account")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
