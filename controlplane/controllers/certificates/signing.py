"""Reads PKCS#10 requests and signs them with the cluster CA (RFC 2986, RFC 5280). Pure, but for the random serial."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .decide import Asked

BACKDATE = 300.0
"""Seconds a certificate is valid before it is signed, for clocks that are slow."""


def read(request: bytes) -> tuple[x509.CertificateSigningRequest, Asked]:
    """Raises ValueError for what is no request, or not signed by its own key."""
    found = x509.load_pem_x509_csr(request)
    if not found.is_signature_valid:
        raise ValueError("the request's signature is not valid")

    def names(oid: x509.ObjectIdentifier) -> tuple[str, ...]:
        return tuple(str(item.value) for item in found.subject.get_attributes_for_oid(oid))

    common = names(NameOID.COMMON_NAME)
    organizations = names(NameOID.ORGANIZATION_NAME)
    try:
        hosts = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found, Asked(common[0] if common else "", organizations)
    return found, Asked(
        common[0] if common else "",
        organizations,
        tuple(hosts.get_values_for_type(x509.DNSName)),
        tuple(str(item) for item in hosts.get_values_for_type(x509.IPAddress)),
        tuple(hosts.get_values_for_type(x509.RFC822Name)),
        tuple(hosts.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def sign(
    request: x509.CertificateSigningRequest, usages: Sequence[str], ca: bytes, key: bytes, life: float, now: float
) -> bytes:
    """The certificate, PEM. It never outlives the CA. Raises ValueError for keys of an unknown sort."""
    authority = x509.load_pem_x509_certificate(ca)
    secret = serialization.load_pem_private_key(key, None)
    public = request.public_key()
    if not isinstance(secret, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("the authority's key can sign no certificates")
    if not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("unsupported public key")
    begun = datetime.datetime.fromtimestamp(now - BACKDATE, datetime.UTC)
    ends = min(datetime.datetime.fromtimestamp(now + life, datetime.UTC), authority.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(usages), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(secret.public_key()), critical=False)
    )
    oids = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([oid for usage, oid in oids.items() if usage in usages]), critical=False
    )
    try:
        hosts = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(hosts.value, critical=False)
    except x509.ExtensionNotFound:
        pass
    return builder.sign(secret, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(usages: Sequence[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digital signature" in usages,
        key_encipherment="key encipherment" in usages,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
