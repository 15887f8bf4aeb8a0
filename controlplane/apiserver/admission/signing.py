"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may decide for which signer.

https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from panal.errors import Forbidden
from panal.resources import resource

from ..authn import User
from ..authz import MASTERS, Authorizer
from ..authz import Attributes as Question
from ..fielderrors import go_quote
from .attributes import Attributes, Plugin, Reader

REQUESTS = resource("certificatesigningrequests")
_CLIENT = "kubernetes.io/kube-apiserver-client"


def guard(authorizer: Authorizer) -> Plugin:
    """The plugin that asks this authorizer. Raises Forbidden."""

    def validate(attributes: Attributes, reader: Reader) -> None:
        if attributes.resource != REQUESTS:
            return
        if attributes.operation == "CREATE":
            _subject(attributes)
        elif attributes.operation == "UPDATE" and (verb := _verb(attributes)):
            signer = str((attributes.old or attributes.obj)["spec"].get("signerName", ""))
            user = User(attributes.user, attributes.groups)
            if not _may(authorizer, user, verb, signer):
                why = f"user not permitted to {verb} requests with signerName {go_quote(signer)}"
                raise _forbidden(attributes, why)

    return validate


def _verb(attributes: Attributes) -> str:
    """What the update is in terms of rights, "" for what needs none beyond the update itself."""
    if attributes.subresource == "approval":
        return "approve"
    if attributes.subresource != "status":
        return ""
    now, was = (_status(each) for each in (attributes.obj, attributes.old))
    failed = [[each for each in found.get("conditions") or () if each.get("type") == "Failed"] for found in (now, was)]
    return "sign" if now.get("certificate") != was.get("certificate") or failed[0] != failed[1] else ""


def _status(obj: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = (obj or {}).get("status") or {}
    return found


def _may(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """For this signer, or for all of its domain."""
    names = (signer, f"{signer.partition('/')[0]}/*")
    return any(authorizer.allowed(user, Question(verb, REQUESTS.group, "signers", name=name)) for name in names)


def _subject(attributes: Attributes) -> None:
    """Nobody becomes an administrator by a certificate."""
    spec = attributes.obj["spec"]
    if spec.get("signerName") == _CLIENT and MASTERS in _organizations(str(spec.get("request", ""))):
        raise _forbidden(attributes, f"use of {_CLIENT} signer with {MASTERS} group is not allowed")


def _organizations(encoded: str) -> list[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        request = x509.load_pem_x509_csr(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        return []  # validation refuses it
    return [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def _forbidden(attributes: Attributes, why: str) -> Forbidden:
    name = attributes.obj["metadata"].get("name", "")
    details = {"name": name, "group": REQUESTS.group, "kind": REQUESTS.plural}
    return Forbidden(f'{REQUESTS.group_resource} "{name}" is forbidden: {why}', details=details)
