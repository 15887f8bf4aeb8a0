"""The cluster's keys and certificates, laid out as kubeadm does.

Elliptic keys (P-256), so that making them costs milliseconds. Keys are 0600.
Certificates: RFC 5280; who a client is stands in its subject (CN user, O groups) as Kubernetes reads it.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .config import ClusterConfig
from .kubeconfig import document, write_private
from .paths import ClusterPaths

_CA_YEARS, _CERTIFICATE_YEARS = 10, 1
"""As kubeadm: the authority lasts ten years, what it signs one."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority that signs client and server certificates."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str, now: datetime.datetime) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), now, _CA_YEARS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signing=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, pair: Pair) -> Authority:
        """Raises ValueError."""
        key = serialization.load_pem_private_key(pair.key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not an elliptic one")
        return cls(x509.load_pem_x509_certificate(pair.certificate), key)

    @property
    def pair(self) -> Pair:
        return Pair(self.certificate, _private_pem(self._key))

    @property
    def certificate(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def client(self, user: str, groups: Sequence[str], now: datetime.datetime) -> Pair:
        """A client certificate for `user` in `groups`."""
        return self._sign(user, groups, (), ExtendedKeyUsageOID.CLIENT_AUTH, now)

    def server(self, name: str, hosts: Sequence[str], now: datetime.datetime, groups: Sequence[str] = ()) -> Pair:
        """A serving certificate for `hosts`: DNS names and IP addresses."""
        return self._sign(name, groups, hosts, ExtendedKeyUsageOID.SERVER_AUTH, now)

    def _sign(
        self,
        name: str,
        groups: Sequence[str],
        hosts: Sequence[str],
        usage: x509.ObjectIdentifier,
        now: datetime.datetime,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        builder = _builder(subject, self._certificate.subject, key.public_key(), now, _CERTIFICATE_YEARS)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signing=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, years: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=365 * years))
    )


def _usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signing,
        key_cert_sign=signing,
        crl_sign=signing,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(folder: Path, name: str, pair: Pair) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / f"{name}.crt").write_bytes(pair.certificate)
    write_private(folder / f"{name}.key", pair.key)


def node_server(config: ClusterConfig) -> str:
    """The API server's URL as nodes and hosts of the LAN reach it."""
    if config.joined is not None:
        return config.joined.server
    return f"https://{config.control_plane.address}:6443"


def create(config: ClusterConfig, paths: ClusterPaths, now: datetime.datetime) -> Authority:
    """Make everything a new cluster needs: certificates, service account keys and kubeconfigs. Raises OSError.

    In the `machine` network others join with certificates of their own: only this machine's node gets any.

    Files: pki/{ca,apiserver,apiserver-kubelet-client}.{crt,key}, pki/sa.{key,pub}, the kubeconfigs admin.conf (through
    the machine's 127.0.0.1), controller-manager.conf, scheduler.conf, lb.conf, dns.conf, and for every node
    nodes/NAME/kubeconfig and nodes/NAME/pki/kubelet.{crt,key}.
    """
    authority = _authority(paths.pki, now)
    first = config.control_plane
    hosts = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{config.cluster_domain}",
        "localhost",
        first.name,
        config.kubernetes_service_ip,
        first.address,
        "127.0.0.1",
    ]
    if config.listen is not None:
        hosts += sorted({config.listen.address, config.listen.advertise} - {"0.0.0.0", first.address, "127.0.0.1"})
    _write(paths.pki, "apiserver", authority.server("kube-apiserver", hosts, now))
    client = authority.client("kube-apiserver-kubelet-client", ["kubeadm:cluster-admins"], now)
    _write(paths.pki, "apiserver-kubelet-client", client)
    _service_account_keys(paths.pki)

    def user(path: Path, server: str, context: str, name: str, groups: Sequence[str]) -> None:
        pair = authority.client(name, groups, now)
        text = document(
            context, server=server, ca=authority.certificate, certificate=pair.certificate, key=pair.key, user=name
        )
        write_private(path, orjson.dumps(text))

    server = node_server(config)
    context = context_name(config.name)
    admin = authority.client("kubernetes-admin", ["system:masters"], now)
    local = f"https://127.0.0.1:{config.api_port}"
    write_private(
        paths.kubeconfig,
        orjson.dumps(
            document(
                context,
                server=local,
                ca=authority.certificate,
                certificate=admin.certificate,
                key=admin.key,
                user=f"{context}-admin",
            ),
            option=orjson.OPT_INDENT_2,
        ),
    )
    user(paths.root / "controller-manager.conf", server, context, "system:kube-controller-manager", [])
    user(paths.root / "scheduler.conf", server, context, "system:kube-scheduler", [])
    if not config.host:
        user(paths.root / "lb.conf", server, context, "panal:load-balancer", ["panal:lan"])
        user(paths.root / "dns.conf", server, context, "panal:external-dns", ["panal:lan"])
    for node in config.nodes_here:
        place = paths.node(node.name)
        user(place.kubeconfig, server, context, f"system:node:{node.name}", ["system:nodes"])
        serving = authority.server(f"system:node:{node.name}", [node.name, node.address], now, ["system:nodes"])
        _write(place.root / "pki", "kubelet", serving)
    return authority


def context_name(cluster: str) -> str:
    """The kubeconfig context of a cluster: `panal` for the one called so, else panal-NAME."""
    return "panal" if cluster == "panal" else f"panal-{cluster}"


def _authority(folder: Path, now: datetime.datetime) -> Authority:
    """The one that a restored cluster has had, or a new one."""
    if (folder / "ca.key").exists():
        return Authority.load(Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes()))
    authority = Authority.create("kubernetes", now)
    _write(folder, "ca", authority.pair)
    return authority


def _service_account_keys(folder: Path) -> None:
    if (folder / "sa.key").exists() and (folder / "sa.pub").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(folder / "sa.key", _private_pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "sa.pub").write_bytes(public)
