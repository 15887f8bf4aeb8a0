"""The command line of the API server: the names are kube-apiserver's, plus --data-dir and --edge-socket."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Everything the API server is told when it starts."""

    advertise_address: str
    bind_address: str
    secure_port: int
    data_dir: Path
    client_ca_file: Path
    tls_cert_file: Path
    tls_private_key_file: Path
    service_account_key_file: Path
    service_account_signing_key_file: Path
    service_account_issuer: str
    service_cluster_ip_range: ipaddress.IPv4Network
    service_node_port_range: tuple[int, int]
    kubelet_client_certificate: Path | None = None
    kubelet_client_key: Path | None = None
    kubelet_certificate_authority: Path | None = None
    edge_socket: Path | None = None
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    etcd_compaction_interval: float = 300.0
    """Seconds."""


def parse(argv: Sequence[str]) -> Options:
    """Read the command line. Exits with argparse's message for one that makes no sense."""
    parser = argparse.ArgumentParser("kube-apiserver", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--advertise-address", required=True, help="the address of default/kubernetes' endpoint")
    add("--bind-address", default="0.0.0.0", help="the address to listen on")
    add("--secure-port", type=int, default=6443, help="the port to listen on; 0 takes a free one")
    add("--data-dir", type=Path, required=True, help="the folder of the store")
    add("--client-ca-file", type=Path, required=True, help="the authority of clients' certificates")
    add("--tls-cert-file", type=Path, required=True, help="the server's certificate")
    add("--tls-private-key-file", type=Path, required=True, help="the server's key")
    add("--service-account-key-file", type=Path, required=True, help="the public key of service account tokens")
    add("--service-account-signing-key-file", type=Path, required=True, help="the key that signs them")
    add("--service-account-issuer", default="https://kubernetes.default.svc.cluster.local", help="their issuer")
    add("--service-cluster-ip-range", type=ipaddress.IPv4Network, default="10.96.0.0/12", help="ClusterIPs, a CIDR")
    add("--service-node-port-range", type=_ports, default="30000-32767", help="NodePorts, as FIRST-LAST")
    add("--kubelet-client-certificate", type=Path, help="shown to kubelets")
    add("--kubelet-client-key", type=Path, help="the certificate's key")
    add("--kubelet-certificate-authority", type=Path, help="the authority of kubelets' certificates")
    add("--edge-socket", type=Path, help="a Unix socket that hands out the `api` listening sockets")
    add("--max-requests-inflight", type=int, default=400, help="reads at the same time at most; 0 for no limit")
    add("--max-mutating-requests-inflight", type=int, default=200, help="writes at the same time at most")
    add("--etcd-compaction-interval", type=_seconds, default="5m0s", help="how long history is kept at least")
    return Options(**vars(parser.parse_args(argv)))


def _seconds(text: str) -> float:
    """A Go duration as seconds."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 5m0s")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of ports such as 30000-32767")
    return int(first), int(last)
