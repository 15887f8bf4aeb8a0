"""Asking a cluster for certificates: a key of one's own, a CertificateSigningRequest, and the answer.

https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Any

from panal.client import Client
from panal.pki import Pair
from panal.resources import resource

from .refused import Refused

CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"
NODES = "system:nodes"
SIGNED_WITHIN = 20.0
"""Seconds the controller manager has to sign; it takes some milliseconds."""
REQUESTS = resource("certificatesigningrequests")

Object = dict[str, Any]


def request(name: str, hosts: Sequence[str] = (), group: str = NODES) -> tuple[bytes, bytes]:
    """A new P-256 key and a PKCS#10 request (RFC 2986) for the node, or the user of another group, both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}" if group == NODES else name),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def signing_request(name: str, signer: str, pem: bytes, seconds: int | None = None) -> Object:
    """The object that asks `signer` to sign."""
    usage = "server auth" if signer == SERVING else "client auth"
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": signer,
            "usages": ["digital signature", usage],
            **({"expirationSeconds": seconds} if seconds is not None else {}),
        },
    }


async def certificate(
    client: Client, signer: str, who: str, hosts: Sequence[str] = (), seconds: int | None = None, group: str = NODES
) -> Pair:
    """Ask, and wait for the answer. Raises Refused, StatusError, Unreachable."""
    key, pem = request(who, hosts, group)
    name = f"node-csr-{secrets.token_hex(16)}"
    asked = await client.create(REQUESTS, signing_request(name, signer, pem, seconds))
    try:
        async with asyncio.timeout(SIGNED_WITHIN):
            return Pair(await _signed(client, asked), key)
    except TimeoutError:
        raise Refused(
            f"nobody signed this machine's certificate request {name} within {SIGNED_WITHIN:.0f} s; see whether "
            f"kube-controller-manager runs, or approve it with `kubectl certificate approve {name}` and try again."
        ) from None


async def _signed(client: Client, asked: Object) -> bytes:
    name = asked["metadata"]["name"]
    if (found := verdict(asked)) is not None:
        return found
    while True:
        version = asked["metadata"]["resourceVersion"]
        selector = f"metadata.name={name}"
        async with client.watch(REQUESTS, resource_version=version, field_selector=selector) as events:
            async for _, asked in events:
                if (found := verdict(asked)) is not None:
                    return found
        asked = await client.get(REQUESTS, name)
        if (found := verdict(asked)) is not None:
            return found


def verdict(asked: Object) -> bytes | None:
    """The certificate, PEM, or None while nobody has decided. Raises Refused."""
    status = asked.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") in ("Denied", "Failed") and condition.get("status", "True") == "True":
            why = condition.get("message") or condition.get("reason") or "no reason given"
            raise Refused(f"the cluster refused this machine's certificate: {why}.")
    found = status.get("certificate")
    return base64.b64decode(found) if found else None


def ends(certificate: bytes) -> datetime.datetime:
    """When a certificate (PEM) stops being valid."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
