"""Who a request comes from: a client certificate, a service account's or a bootstrap token, or nobody."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from panal.errors import Unauthorized
from panal.resources import CONFIGMAPS, NODES, PODS, SECRETS, SERVICEACCOUNTS

from . import accounttokens, bootstraptokens, keys, removednodes
from .cache import Cache
from .tokens import LEGACY, Keys, TokenError

AUTHENTICATED = "system:authenticated"
_CACHE_LIMIT = 4096
"""Verified tokens that are remembered, so that the signature is checked once a token, not once a request."""


@dataclass(frozen=True, slots=True)
class User:
    """A user as RBAC and the reviews see it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, compare=False)

    def info(self) -> dict[str, Any]:
        """As a UserInfo of authentication.k8s.io."""
        info: dict[str, Any] = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def from_certificate(certificate: Mapping[str, Any]) -> User | None:
    """The user of a verified client certificate, as `ssl.SSLSocket.getpeercert` describes it: CN, and O as groups."""
    name, groups = "", []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    return User(name, (*groups, AUTHENTICATED)) if name else None


class Authenticator:
    """Checks requests. Tokens stay valid as long as their service account (and pod) exist."""

    def __init__(self, cache: Cache, signing: Keys, now: Callable[[], float]) -> None:
        self._cache = cache
        self._keys = signing
        self._now = now
        self._verified: dict[str, dict[str, Any]] = {}

    def authenticate(self, certificate: Mapping[str, Any] | None, authorization: str) -> User:
        """Raises Unauthorized for a token that is not valid; no credentials at all are the anonymous user."""
        if certificate and (user := from_certificate(certificate)) is not None:
            if user.name.startswith(removednodes.USER) and self._is_removed(certificate, user.name):
                raise Unauthorized("Unauthorized")
            return user
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            try:
                return self.token(token.strip())
            except TokenError as error:
                raise Unauthorized("Unauthorized") from error
        if authorization:
            raise Unauthorized("Unauthorized")
        return ANONYMOUS

    def _is_removed(self, certificate: Mapping[str, Any], name: str) -> bool:
        item = self._cache.shelf(keys.location(CONFIGMAPS)).get(removednodes.NAMESPACE, removednodes.NAME)
        return item is not None and removednodes.is_removed(certificate, name, item.decode())

    def token(self, token: str, audiences: tuple[str, ...] = ()) -> User:
        """Whose token it is. Raises TokenError."""
        found = bootstraptokens.parts(token)
        return self.service_account(token, audiences) if found is None else self._bootstrap(*found)

    def _bootstrap(self, token_id: str, secret: str) -> User:
        shelf = self._cache.shelf(keys.location(SECRETS))
        item = shelf.get(bootstraptokens.NAMESPACE, bootstraptokens.secret_name(token_id))
        groups = None if item is None else bootstraptokens.groups(item.decode(), token_id, secret, self._now())
        if groups is None:
            raise TokenError("no such bootstrap token")
        return User(f"system:bootstrap:{token_id}", (*groups, AUTHENTICATED))

    def service_account(self, token: str, audiences: tuple[str, ...] = ()) -> User:
        """The service account of a token meant for one of the audiences (default: this server). Raises TokenError."""
        claims = self._claims(token)
        if claims.get("iss") == LEGACY:
            return self._legacy(claims, token, audiences)
        audience = claims.get("aud")
        meant = audience if isinstance(audience, list) else [audience]
        if not set(audiences or (self._keys.issuer,)) & set(meant):
            raise TokenError("another audience")
        private = claims.get("kubernetes.io")
        if not isinstance(private, dict):
            raise TokenError("no service account")
        namespace, account = str(private.get("namespace", "")), private.get("serviceaccount") or {}
        name, uid = str(account.get("name", "")), str(account.get("uid", ""))
        self._exists(keys.location(SERVICEACCOUNTS), namespace, name, uid)
        extra: dict[str, tuple[str, ...]] = {}
        if claims.get("jti"):
            extra["authentication.kubernetes.io/credential-id"] = (f"JTI={claims['jti']}",)
        if pod := private.get("pod"):
            self._exists(keys.location(PODS), namespace, str(pod.get("name", "")), str(pod.get("uid", "")))
            extra["authentication.kubernetes.io/pod-name"] = (str(pod.get("name", "")),)
            extra["authentication.kubernetes.io/pod-uid"] = (str(pod.get("uid", "")),)
        if node := private.get("node"):
            if not private.get("pod"):
                self._exists(keys.location(NODES), "", str(node.get("name", "")), str(node.get("uid", "")))
            extra["authentication.kubernetes.io/node-name"] = (str(node.get("name", "")),)
            extra["authentication.kubernetes.io/node-uid"] = (str(node.get("uid", "")),)
        if secret := private.get("secret"):
            self._exists(keys.location(SECRETS), namespace, str(secret.get("name", "")), str(secret.get("uid", "")))
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(f"system:serviceaccount:{namespace}:{name}", groups, uid, extra)

    def _legacy(self, claims: Mapping[str, Any], token: str, audiences: tuple[str, ...]) -> User:
        """The service account of a token that lies in a Secret, as long as it does. Raises TokenError."""
        if audiences and self._keys.issuer not in audiences:
            raise TokenError("another audience")
        namespace, name, uid, secret = (str(claims.get(accounttokens.CLAIM + key, "")) for key in accounttokens.KEYS)
        self._exists(keys.location(SERVICEACCOUNTS), namespace, name, uid)
        item = self._cache.shelf(keys.location(SECRETS)).get(namespace, secret)
        if item is None or not accounttokens.holds(item.decode(), token):
            raise TokenError("the secret has no such token")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)

    def _claims(self, token: str) -> dict[str, Any]:
        now = self._now()
        claims = self._verified.get(token)
        if claims is not None and now < claims.get("exp", math.inf):
            return claims
        claims = self._keys.verify(token, now)
        if len(self._verified) >= _CACHE_LIMIT:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _exists(self, place: keys.Location, namespace: str, name: str, uid: str) -> None:
        item = self._cache.shelf(place).get(namespace, name)
        if item is None or item.decode()["metadata"].get("uid") != uid:
            raise TokenError(f"{place.plural} {name} is gone")
