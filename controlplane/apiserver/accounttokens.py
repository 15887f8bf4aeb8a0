"""Tokens of service accounts that lie in Secrets of the type kubernetes.io/service-account-token.

A mutating admission plugin fills such a Secret as it is written; in Kubernetes a controller does that a moment later.
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panal.resources import SECRETS, SERVICEACCOUNTS

from .admission.attributes import Attributes, Reader
from .tokens import LEGACY, Keys

CLAIM = "kubernetes.io/serviceaccount/"
KEYS = ("namespace", "service-account.name", "service-account.uid", "secret.name")
"""The claims, in the order in which they are read."""
_TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def holds(secret: Mapping[str, Any], token: str) -> bool:
    """Whether this is the token that lies in the Secret."""
    if secret.get("type") != _TYPE or (secret.get("metadata") or {}).get("deletionTimestamp"):
        return False
    return hmac.compare_digest((secret.get("data") or {}).get("token", ""), _encoded(token.encode()))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Filling:
    """The plugin: gives a Secret the token of the service account that its annotation names, where it has none."""

    def __init__(self, signing: Keys, authority: Path) -> None:
        self._signing = signing
        self._authority = authority

    def __call__(self, attributes: Attributes, reader: Reader) -> None:
        if attributes.resource != SECRETS or attributes.subresource or attributes.operation == "DELETE":
            return
        secret = attributes.obj
        if secret.get("type") != _TYPE:
            return
        annotations = secret["metadata"].get("annotations") or {}
        name = str(annotations.get(_NAME, ""))
        account = reader.get(SERVICEACCOUNTS, attributes.namespace, name) if name else None
        if account is None:
            return
        uid = str(account["metadata"]["uid"])
        data = secret.get("data") or {}
        if data.get("token") and annotations.get(_UID) == uid:
            return
        values = (attributes.namespace, name, uid, str(secret["metadata"].get("name") or attributes.name))
        claims = {"iss": LEGACY, **{CLAIM + key: value for key, value in zip(KEYS, values, strict=True)}}
        claims["sub"] = f"system:serviceaccount:{attributes.namespace}:{name}"
        secret["metadata"]["annotations"] = {**annotations, _UID: uid}
        secret["data"] = {
            **data,
            "ca.crt": _encoded(self._authority.read_bytes()),
            "namespace": _encoded(attributes.namespace.encode()),
            "token": _encoded(self._signing.sign(claims).encode()),
        }
