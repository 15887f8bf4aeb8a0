"""Checks of CertificateSigningRequests, and of what their deciders and signers write."""

from __future__ import annotations

import base64
import binascii
import re

from panal import formats

from ..fielderrors import FieldError, bad, duplicate, forbidden, not_supported, required, too_long
from .checks import Object, items, optional_choice
from .diff import difference

_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip
_LEGACY = "kubernetes.io/legacy-unknown"
_SHORTEST = 600
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


def signing_request(obj: Object) -> list[FieldError]:
    spec = obj.get("spec") or {}
    signer, seconds = spec.get("signerName", ""), spec.get("expirationSeconds")
    usages = list(spec.get("usages") or ())
    errors: list[FieldError] = []
    if why := _request(spec.get("request") or ""):
        errors.append(bad("spec.request", spec.get("request") or "", why))
    if not usages:
        errors.append(required("spec.usages", "usages must be provided"))
    for each, where in items(usages, "spec.usages"):
        errors += optional_choice(each, where, _USAGES)
    errors += [duplicate(f"spec.usages[{index}]", each) for index, each in enumerate(usages) if each in usages[:index]]
    if signer == _LEGACY:
        errors.append(bad("spec.signerName", signer, "the legacy signerName is not allowed via this API version"))
    else:
        errors += signer_name(signer, "spec.signerName")
    if seconds is not None and seconds < _SHORTEST:
        words = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(bad("spec.expirationSeconds", seconds, words))
    return errors + _conditions(obj) + _certificate((obj.get("status") or {}).get("certificate"))


def _request(text: str) -> str:
    """Why it is no signed request for a certificate, "" if it is one."""
    try:
        found = _BLOCK.search(base64.b64decode(text))
    except (ValueError, binascii.Error):
        found = None
    if found is None or found[1] != b"CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        valid = x509.load_pem_x509_csr(found[0]).is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"asn1: structure error: {error}"
    return "" if valid else "x509: signature verification failure"


def signer_name(name: str, field: str) -> list[FieldError]:
    if not name:
        return [required(field)]
    domain, slash, path = name.partition("/")
    if not slash or "/" in path:
        words = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [bad(field, name, words)]
    errors = [too_long(field, 253)] if len(domain) > 253 else []
    labels = domain.split(".")
    for shown, parts, check in ((domain, labels, formats.label_name), (path, path.split("."), formats.subdomain_name)):
        wrong = next((part for part in parts if check(part)), None)
        if wrong is not None:
            errors += [bad(field, shown, f'validating label "{wrong}": {text}') for text in check(wrong)]
        if parts is labels and len(labels) < 2:
            words = "should be a domain with at least two segments separated by dots"
            errors.append(bad(field, domain, words))
    if len(name) > 571:
        errors.append(too_long(field, 571))
    return errors


_DECIDED = ("Approved", "Denied", "Failed")
_OPPOSITE = {"Approved": "Denied", "Denied": "Approved"}


def _conditions(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    kinds: set[str] = set()
    for each, where in items((obj.get("status") or {}).get("conditions"), "status.conditions"):
        kind, status = each.get("type", ""), each.get("status", "")
        allowed = ("True",) if kind in _DECIDED else ("False", "True", "Unknown")
        if not kind:
            errors.append(required(f"{where}.type"))
        if not status:
            errors.append(required(f"{where}.status"))
        elif status not in allowed:
            errors.append(not_supported(f"{where}.status", status, allowed))
        if _OPPOSITE.get(kind) in kinds:
            words = "Approved and Denied conditions are mutually exclusive"
            errors.append(bad(f"{where}.type", kind, words))
        if kind in kinds:
            errors.append(duplicate(f"{where}.type", kind))
        kinds.add(kind)
    return errors


def _certificate(text: str | None) -> list[FieldError]:
    why = _chain(base64.b64decode(text)) if text else ""
    return [bad("status.certificate", "<certificate data>", why)] if why else []


def _chain(raw: bytes) -> str:
    from cryptography import x509

    blocks = list(_BLOCK.finditer(raw))
    for block in blocks:
        if block[1] != b"CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block[1].decode()}"'
        try:
            x509.load_pem_x509_certificate(block[0])
        except ValueError as error:
            return f"x509: malformed certificate: {error}"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def signing_update(new: Object, old: Object, subresource: str) -> list[FieldError]:
    """Deciding is `approval`'s, issuing `status`'; what was decided stays decided, and what was issued issued."""
    field = "status.conditions"
    now, was = ((obj.get("status") or {}) for obj in (new, old))
    errors = _conditions(new)
    if now.get("certificate") != was.get("certificate"):
        errors += _certificate(now.get("certificate"))
    for kind in _DECIDED:
        after, before = ([e for e in side.get("conditions") or () if e.get("type") == kind] for side in (now, was))
        if len(after) < len(before):
            errors.append(forbidden(field, f'updates may not remove a condition of type "{kind}"'))
    if subresource != "approval":
        for kind in _OPPOSITE:
            after, before = ([e for e in side.get("conditions") or () if e.get("type") == kind] for side in (now, was))
            if len(after) > len(before):
                errors.append(forbidden(field, f'updates may not add a condition of type "{kind}"'))
            elif len(after) == len(before) and after != before:
                words = f'updates may not modify a condition of type "{kind}"\n{difference(before, after)}'
                errors.append(forbidden(field, words))
    if now.get("certificate") != was.get("certificate"):
        if subresource != "status":
            errors.append(forbidden("status.certificate", "updates may not set certificate content"))
        elif was.get("certificate"):
            errors.append(forbidden("status.certificate", "updates may not modify existing certificate content"))
    return errors
