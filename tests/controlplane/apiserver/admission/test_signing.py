"""Deciding about certificates takes rights on the signer, and no certificate makes an administrator."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from panal.controlplane.apiserver.admission import Attributes, signing
from panal.controlplane.apiserver.admission.stored import StoredObjects
from panal.controlplane.apiserver.authz import Authorizer
from panal.errors import Forbidden

from ..conftest import World
from .conftest import asking
from .test_escalation import given

GROUP = "certificates.k8s.io"
SIGNER = "kubernetes.io/kube-apiserver-client"


def request(organization: str = "devs", **status: Any) -> dict[str, Any]:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name)
    pem = csr.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec = {"signerName": SIGNER, "request": base64.b64encode(pem).decode()}
    return {"metadata": {"name": "joe"}, "spec": spec, "status": status}


def judge(world: World, attributes: Attributes) -> None:
    signing.guard(Authorizer(world.cache))(attributes, StoredObjects(world.cache))


def update(subresource: str, **status: Any) -> Attributes:
    old = request()
    return asking(signing.REQUESTS, {**old, "status": status}, operation="UPDATE", old=old, subresource=subresource)


async def test_approving_and_signing_take_a_right_on_the_signer(world: World) -> None:
    approving, signed = update("approval"), update("status", certificate="x")
    for asked, verb in ((approving, "approve"), (signed, "sign")):
        words = f'user not permitted to {verb} requests with signerName "{SIGNER}"'
        with pytest.raises(Forbidden, match=words):
            judge(world, asked)
    judge(world, update("status"))
    rule = {"apiGroups": [GROUP], "resources": ["signers"], "resourceNames": ["kubernetes.io/*"]}
    await given(world, {**rule, "verbs": ["approve", "sign"]})
    judge(world, approving)
    judge(world, signed)


async def test_a_certificate_for_administrators_is_not_asked_for(world: World) -> None:
    judge(world, asking(signing.REQUESTS, request()))
    with pytest.raises(Forbidden, match="signer with system:masters group is not allowed"):
        judge(world, asking(signing.REQUESTS, request("system:masters")))
