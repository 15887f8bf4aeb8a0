"""Certificates by server name, replaced while serving."""

from __future__ import annotations

import base64
import datetime
import ssl
from typing import Any

import pytest

from panal.proxy.ingress.tls import FAKE_NAME, BadCertificate, Certificates, context, fake_certificate, key_pair

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def secret(version: str, pair: tuple[bytes, bytes] | None = None) -> dict[str, Any]:
    certificate, key = pair or fake_certificate(NOW)
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return {"metadata": {"resourceVersion": version}, "data": data}


def test_a_certificate_is_made_once_for_each_version_of_its_secret() -> None:
    secrets = {"default/one": secret("1")}
    certificates = Certificates(lambda name: "default/one" if name == "a.com" else None, secrets.get)
    first = certificates.find("A.com.")
    assert certificates.find("a.com") is first
    secrets["default/one"] = secret("2")
    second = certificates.find("a.com")
    assert second is not first
    fake = certificates.find("b.com")
    assert certificates.find(None) is fake is not second


def test_a_secret_that_makes_no_sense_is_answered_with_the_fake_certificate() -> None:
    broken = {"metadata": {"resourceVersion": "1"}, "data": {"tls.crt": "!!", "tls.key": ""}}
    mismatched = secret("1", (fake_certificate(NOW)[0], fake_certificate(NOW)[1]))
    for found in (broken, mismatched, None):
        certificates = Certificates(lambda name: "default/one", lambda name, found=found: found)  # type: ignore[misc]
        assert certificates.find("a.com") is certificates.find("a.com")
    with pytest.raises(BadCertificate):
        key_pair(broken)
    with pytest.raises(BadCertificate):
        context(b"nonsense", b"nonsense")


def test_the_fake_certificate_says_so() -> None:
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(fake_certificate(NOW)[0])
    assert FAKE_NAME in certificate.subject.rfc4514_string()
    assert certificate.not_valid_after_utc > NOW
    assert context(*fake_certificate(NOW)).minimum_version == ssl.TLSVersion.TLSv1_2
