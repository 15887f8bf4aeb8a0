"""Bootstrap tokens: short-lived passwords of machines that want to join, kept as Secrets in kube-system. Pure.

https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hmac
import re
from collections.abc import Mapping
from typing import Any

NAMESPACE = "kube-system"
GROUP = "system:bootstrappers"
_TYPE = "bootstrap.kubernetes.io/token"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def parts(token: str) -> tuple[str, str] | None:
    """The token's id and secret, None for what is no bootstrap token."""
    found = _TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else None


def secret_name(token_id: str) -> str:
    return f"bootstrap-token-{token_id}"


def groups(stored: Mapping[str, Any], token_id: str, secret: str, now: float) -> tuple[str, ...] | None:
    """The groups of who shows this Secret's token; None where the Secret is not, or no longer, good for that."""
    data = {key: _text(value) for key, value in (stored.get("data") or {}).items()}
    if stored.get("type") != _TYPE or stored["metadata"].get("deletionTimestamp"):
        return None
    same = hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode())
    if not same or data.get("token-id") != token_id or _expired(data.get("expiration", ""), now):
        return None
    extra = [each for each in data.get("auth-extra-groups", "").split(",") if each]
    if data.get("usage-bootstrap-authentication") != "true" or not all(_EXTRA.fullmatch(each) for each in extra):
        return None
    return (GROUP, *sorted(set(extra)))


def _text(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (ValueError, binascii.Error):
        return ""


def _expired(text: str, now: float) -> bool:
    """A time that cannot be read is past."""
    if not text:
        return False
    try:
        return datetime.datetime.fromisoformat(text).timestamp() <= now
    except ValueError:
        return True
