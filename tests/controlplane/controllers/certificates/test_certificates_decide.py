"""Stories of certificate requests: who gets one, for how long, and why not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from panal.controlplane.controllers.certificates import decide, signing
from panal.controlplane.controllers.certificates.decide import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, Asked
from panal.pki import Authority

NOW = 1_700_000_000.0
CREATED = "2023-11-14T22:13:20Z"
Object = dict[str, Any]
NODE = Asked("system:node:a", ("system:nodes",))
SERVER = Asked("system:node:a", ("system:nodes",), ("a",))
CLIENT_USAGES = ("digital signature", "client auth")


@pytest.mark.parametrize(
    ("signer", "asked", "usages", "said"),
    [
        (CLIENT, Asked("ana", ("devs",)), ("client auth",), None),
        (CLIENT, Asked("ana"), ("server auth", "client auth"), "usages did not match"),
        (KUBELET_CLIENT, NODE, CLIENT_USAGES, None),
        (KUBELET_CLIENT, NODE, (*CLIENT_USAGES, "key encipherment"), None),
        (KUBELET_CLIENT, NODE, ("client auth",), "usages did not match"),
        (KUBELET_CLIENT, SERVER, CLIENT_USAGES, "DNS subjectAltNames are not allowed"),
        (KUBELET_CLIENT, Asked("ana", ("system:nodes",)), CLIENT_USAGES,
         "subject common name does not begin with system:node:"),
        (KUBELET_SERVING, SERVER, ("digital signature", "server auth"), None),
        (KUBELET_SERVING, NODE, ("digital signature", "server auth"), "DNS or IP subjectAltName is required"),
        (KUBELET_SERVING, Asked("system:node:a", ("devs",)), ("server auth",),
         "subject organization is not system:nodes"),
    ],
)  # fmt: skip
def test_each_signer_has_rules(signer: str, asked: Asked, usages: tuple[str, ...], said: str | None) -> None:
    assert decide.problem(signer, asked, usages) == said


def request(signer: str = CLIENT, *conditions: str, **spec: Any) -> Object:
    found = [{"type": kind, "status": "True", "lastUpdateTime": CREATED} for kind in conditions]
    meta = {"name": "x", "creationTimestamp": CREATED}
    return {"metadata": meta, "spec": {"signerName": signer, **spec}, "status": {"conditions": found}}


def test_only_what_is_approved_and_ours_is_signed() -> None:
    assert decide.is_to_be_signed(request(CLIENT, "Approved"))
    assert not decide.is_to_be_signed(request(CLIENT))
    assert not decide.is_to_be_signed(request(CLIENT, "Approved", "Failed"))
    assert not decide.is_to_be_signed(request("example.com/own", "Approved"))


def test_a_kubelet_may_ask_for_itself_and_no_user_is_approved_by_itself() -> None:
    own = request(KUBELET_CLIENT, username="system:node:a", usages=list(CLIENT_USAGES))
    assert decide.reviews(NODE, own) == ("selfnodeclient", "nodeclient")
    first = request(KUBELET_CLIENT, username="system:bootstrap:abc", usages=list(CLIENT_USAGES))
    assert decide.reviews(NODE, first) == ("nodeclient",)
    assert decide.reviews(Asked("ana"), request(CLIENT, usages=["client auth"])) == ()


def test_requests_are_cleared_away() -> None:
    assert decide.keep_for(request(), NOW) == 86400
    assert decide.keep_for(request(CLIENT, "Denied"), NOW + 3601) < 0


def test_a_certificate_is_for_whom_it_was_asked_and_lives_as_long_as_asked() -> None:
    authority = Authority.create("cluster", datetime.datetime.fromtimestamp(NOW, datetime.UTC))
    key = ec.generate_private_key(ec.SECP256R1())
    names = [(NameOID.COMMON_NAME, "ana"), (NameOID.ORGANIZATION_NAME, "devs")]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in names])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    found, asked = signing.read(csr.public_bytes(serialization.Encoding.PEM))
    assert asked == Asked("ana", ("devs",))
    life = decide.lifetime(request(expirationSeconds=3600))
    pem = signing.sign(found, ["client auth"], authority.certificate, authority.pair.key, life, NOW)
    made = x509.load_pem_x509_certificate(pem)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    assert made.not_valid_after_utc.timestamp() == NOW + 3600
    assert made.subject == subject
    with pytest.raises(ValueError, match="PEM"):
        signing.read(b"nothing")


@pytest.mark.parametrize(
    ("asked", "user", "granted"),
    [
        (Asked("system:node:a", ("system:nodes",), ("a",), ("192.168.0.104",)), "system:node:a", True),
        (Asked("system:node:a", ("system:nodes",), ("a",), ("192.168.0.100",)), "system:node:a", False),
        (Asked("system:node:a", ("system:nodes",), ("b",), ()), "system:node:a", False),
        (Asked("system:node:a", ("system:nodes",), ("a",), ()), "system:node:b", False),
        (Asked("system:node:b", ("system:nodes",), ("b",), ()), "system:node:b", False),
    ],
)
def test_a_node_gets_a_serving_certificate_for_its_own_name_and_addresses_only(asked: Asked, user: str, granted: bool):
    node = {"metadata": {"name": "a"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.104"}]}}
    wanted = request(KUBELET_SERVING, username=user, usages=["digital signature", "server auth"])
    assert decide.serves_itself(asked, wanted, node) is granted


def test_a_request_that_came_before_the_news_of_its_node_is_looked_at_again_but_not_for_ever():
    fresh = request(KUBELET_SERVING)
    begun = decide.parse_time(CREATED)
    assert begun is not None
    assert decide.waits_for_its_node(fresh, begun + 5)
    assert not decide.waits_for_its_node(fresh, begun + 60)
    assert not decide.waits_for_its_node(request(KUBELET_SERVING, "Approved"), begun + 5)


@pytest.mark.parametrize(
    ("asked", "rights"),
    [
        (Asked("panal:load-balancer", ("panal:lan",)), ("lanclient",)),
        (Asked("panal:external-dns", ("panal:lan",)), ("lanclient",)),
        (Asked("panal:load-balancer", ("panal:lan", "system:masters")), ()),
        (Asked("panal:load-balancer", ("panal:lan",), ("lb",)), ()),
        (Asked("kubernetes-admin", ("panal:lan",)), ()),
        (Asked("panal:load-balancer", ()), ()),
    ],
)
def test_a_host_of_the_lan_gets_its_own_certificate_and_no_other(asked: Asked, rights: tuple[str, ...]) -> None:
    assert decide.reviews(asked, request(CLIENT, usages=["digital signature", "client auth"])) == rights
    assert decide.reviews(asked, request(CLIENT, usages=["server auth"])) == ()
