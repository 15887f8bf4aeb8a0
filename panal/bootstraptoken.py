"""Bootstrap tokens, and the signed `cluster-info` by which a machine that has one finds and trusts a cluster. Pure.

As kubeadm does it, so that its tokens and Panal's are the same thing: a Secret `bootstrap-token-ID` in kube-system, and
a ConfigMap `cluster-info` in kube-public that holds a kubeconfig without a user and, for each token, a signature of it
(a JWS with detached payload, RFC 7515 appendix F, HS256 by the token's secret).
https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

SYSTEM, PUBLIC = "kube-system", "kube-public"
CLUSTER_INFO = "cluster-info"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
JOINERS = "system:bootstrappers:kubeadm:default-node-token"
"""The group of whoever shows one of these tokens, besides system:bootstrappers."""
_SIGNATURE = "jws-kubeconfig-"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Untrusted(ValueError):
    """What claims to be the cluster isn't shown to be it; the message is a clause."""


def split(token: str) -> tuple[str, str]:
    """The token's id, which is no secret, and its secret. Raises ValueError."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ValueError("a token is six letters or digits, a dot and sixteen more, such as abcdef.0123456789abcdef")
    return found[1], found[2]


def generate(random: bytes) -> str:
    """A new token out of at least 64 random bytes."""
    usable = [byte for byte in random if byte < 252]  # 252 = 7 * 36: every letter as likely as another
    if len(usable) < 22:
        raise ValueError("too few random bytes")
    text = "".join(_LETTERS[byte % 36] for byte in usable[:22])
    return f"{text[:6]}.{text[6:]}"


def secret_name(token_id: str) -> str:
    return f"bootstrap-token-{token_id}"


def secret(token: str, description: str, expires: datetime.datetime | None, group: str = JOINERS) -> Object:
    """The Secret that makes the token good, until `expires` if given; who shows it is in `group`."""
    token_id, hidden = split(token)
    data = {
        "token-id": token_id,
        "token-secret": hidden,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": group,
        **({"description": description} if description else {}),
        **({"expiration": expires.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")} if expires else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {"name": secret_name(token_id), "namespace": SYSTEM},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def field(stored: Mapping[str, Any], name: str) -> str:
    """One field of a token's Secret; empty where it is missing or unreadable."""
    try:
        return base64.b64decode((stored.get("data") or {}).get(name, ""), validate=True).decode()
    except ValueError:
        return ""


def expired(stored: Mapping[str, Any], now: datetime.datetime) -> bool:
    """Whether the token's time is over; one that can't be read counts as over."""
    text = field(stored, "expiration")
    try:
        return bool(text) and datetime.datetime.fromisoformat(text) <= now
    except (ValueError, TypeError):
        return True


def pin(certificate: bytes) -> str:
    """What `--discovery-token-ca-cert-hash` names: the hash of the authority's public key (RFC 7469, 2.4). PEM in."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = x509.load_pem_x509_certificate(certificate).public_key()
    return "sha256:" + hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def check_pin(text: str) -> str:
    """The hash as it was given. Raises ValueError."""
    if not _PIN.fullmatch(text):
        raise ValueError("a CA hash is `sha256:` and 64 digits and letters a to f")
    return text


def cluster_info(server: str, authority: bytes, secrets: Mapping[str, str]) -> Object:
    """The ConfigMap, signed for each token (id -> secret)."""
    kubeconfig = _kubeconfig(server, authority)
    signed = {_SIGNATURE + token_id: sign(kubeconfig, token_id, hidden) for token_id, hidden in secrets.items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CLUSTER_INFO, "namespace": PUBLIC},
        "data": {"kubeconfig": kubeconfig, **signed},
    }


def _kubeconfig(server: str, authority: bytes) -> str:
    cluster = {"certificate-authority-data": base64.b64encode(authority).decode(), "server": server}
    document: Object = {
        "apiVersion": "v1",
        "clusters": [{"cluster": cluster, "name": ""}],
        "contexts": None,
        "current-context": "",
        "kind": "Config",
        "preferences": {},
        "users": None,
    }
    return json.dumps(document, indent=2) + "\n"


def sign(content: str, token_id: str, hidden: str) -> str:
    """A JWS in compact form whose payload is left out."""
    header = _base64(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    digest = hmac.new(hidden.encode(), f"{header}.{_base64(content.encode())}".encode(), hashlib.sha256).digest()
    return f"{header}..{_base64(digest)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def trusted_authority(info: Mapping[str, Any], token: str, wanted: str | None) -> bytes:
    """The cluster's CA (PEM) out of a `cluster-info` that anybody may have sent. Raises Untrusted.

    Its signature must be the token's; with `wanted`, the hash of the CA's key, it must be that CA, too.
    """
    token_id, hidden = split(token)
    data = info.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("kubeconfig"), str):
        raise Untrusted("its cluster-info has no kubeconfig")
    content, signature = data["kubeconfig"], data.get(_SIGNATURE + token_id)
    try:
        document = json.loads(content)
        authority = base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"], validate=True)
        found = pin(authority)
    except (ValueError, KeyError, IndexError, TypeError):
        raise Untrusted("its cluster-info can't be read") from None
    if wanted is not None and not hmac.compare_digest(found, wanted):
        raise Untrusted(f"its CA is {found}, not the one you named, {wanted}")
    if not isinstance(signature, str):
        raise Untrusted(f"it knows no token with the id {token_id!r}")
    if not hmac.compare_digest(signature.encode(), sign(content, token_id, hidden).encode()):
        raise Untrusted(f"it knows the token with the id {token_id!r} with another secret")
    return authority
