"""Certificates by server name: contexts made from Secrets, replaced without a restart, and a fake one for the rest."""

from __future__ import annotations

import base64
import binascii
import datetime
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any

Object = Mapping[str, Any]
FAKE_NAME = "Kubernetes Ingress Controller Fake Certificate"


class BadCertificate(ValueError):
    """A Secret that holds no certificate with its key."""


def key_pair(secret: Object) -> tuple[bytes, bytes]:
    """Certificate chain and key of a Secret, in PEM; raises BadCertificate."""
    data = secret.get("data") or {}
    try:
        certificate, key = (base64.b64decode(data[name], validate=True) for name in ("tls.crt", "tls.key"))
    except (KeyError, TypeError, binascii.Error) as error:
        raise BadCertificate("no tls.crt and tls.key") from error
    return certificate, key


def context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A server's context; raises BadCertificate. The key is in memory only: OpenSSL reads it from a memory file."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(certificate.rstrip() + b"\n" + key)
        made.load_cert_chain(f"/proc/self/fd/{fd}", password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        raise BadCertificate(f"certificate and key don't load: {error}") from error
    finally:
        os.close(fd)
    return made


class Certificates:
    """Chooses a context for each handshake. `choose` tells the Secret of a server name, `secret` gives it."""

    def __init__(self, choose: Callable[[str], str | None], secret: Callable[[str], Object | None]) -> None:
        self._choose = choose
        self._secret = secret
        self._made: dict[str, tuple[str, ssl.SSLContext | None]] = {}
        """By Secret: the version it was made from, None where it makes no sense."""
        self._fake: ssl.SSLContext | None = None
        self.listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.listening.minimum_version = ssl.TLSVersion.TLSv1_2
        self.listening.set_alpn_protocols(["http/1.1"])
        self.listening.sni_callback = self._named

    def forget(self, secret: str) -> None:
        self._made.pop(secret, None)

    def _named(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = self.find(name)

    def find(self, name: str | None) -> ssl.SSLContext:
        chosen = self._choose(name.lower().rstrip(".")) if name else None
        return (self._context(chosen) if chosen else None) or self._fake_context()

    def _context(self, name: str) -> ssl.SSLContext | None:
        secret = self._secret(name)
        if secret is None:
            return None
        version = str(secret["metadata"].get("resourceVersion"))
        made = self._made.get(name)
        if made is None or made[0] != version:
            try:
                made = version, context(*key_pair(secret))
            except BadCertificate:
                made = version, None
            self._made[name] = made
        return made[1]

    def _fake_context(self) -> ssl.SSLContext:
        if self._fake is None:
            self._fake = context(*fake_certificate(datetime.datetime.now(datetime.UTC)))
        return self._fake


def fake_certificate(now: datetime.datetime, name: str = "ingress.local") -> tuple[bytes, bytes]:
    """A self-signed certificate that says what it is, for a year, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Acme Co"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, FAKE_NAME),
    ])  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
