"""Who a request comes from: certificates, tokens and nobody; and how tokens are signed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from panal.controlplane.apiserver.authn import ANONYMOUS, Authenticator, from_certificate
from panal.controlplane.apiserver.tokens import Keys, TokenError
from panal.errors import Unauthorized
from panal.resources import PODS, SERVICEACCOUNTS

from .conftest import World

ISSUER, NOW = "https://kubernetes.default.svc", 1000.0


def keys(folder: Path, kind: str = "EC") -> Keys:
    private = ec.generate_private_key(ec.SECP256R1()) if kind == "EC" else rsa.generate_private_key(65537, 2048)
    signing, public = folder / "sa.key", folder / "sa.pub"
    signing.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return Keys(signing, public, ISSUER)


def claims(**more: Any) -> dict[str, Any]:
    private: dict[str, Any] = {"namespace": "shop", "serviceaccount": {"name": "robot", "uid": "u"}}
    private |= more.pop("private", {})
    return {"iss": ISSUER, "aud": [ISSUER], "exp": NOW + 60, "nbf": NOW, "kubernetes.io": private, **more}


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_token_is_verified_with_the_key_set_that_is_published(tmp_path: Path, kind: str) -> None:
    signing = keys(tmp_path, kind)
    assert signing.verify(signing.sign(claims()), NOW) == claims()
    (published,) = signing.key_set()["keys"]
    assert (published["kid"], published["kty"], published["use"]) == (signing.key_id, kind, "sig")


def tampered(token: str, part: int, text: str) -> str:
    parts = token.split(".")
    parts[part] = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    return ".".join(parts)


def test_a_token_that_is_not_ours_or_not_of_now_is_refused(tmp_path: Path) -> None:
    signing = keys(tmp_path)
    token = signing.sign(claims())
    broken = {
        "x": "malformed",
        "a.b": "malformed",
        "x" * 20_000: "too long",
        tampered(token, 0, '{"alg":"none"}'): "unexpected algorithm",
        tampered(token, 1, orjson.dumps(claims(exp=NOW + 10**6)).decode()): "invalid signature",
        tampered(token, 2, "short"): "malformed signature",
        signing.sign(claims(iss="https://elsewhere")): "another issuer",
        signing.sign(claims(exp=NOW)): "expired",
        signing.sign(claims(nbf=NOW + 60)): "expired",
        signing.sign(claims(exp="x")): "no expiry",
    }
    for text, why in broken.items():
        with pytest.raises(TokenError, match=why):
            signing.verify(text, NOW)


def test_a_certificate_names_the_user_and_its_groups() -> None:
    subject = ((("organizationName", "system:nodes"),), (("commonName", "system:node:a"),))
    user = from_certificate({"subject": subject})
    assert user is not None
    assert (user.name, user.groups) == ("system:node:a", ("system:nodes", "system:authenticated"))
    assert from_certificate({"subject": ()}) is None


async def test_a_token_is_its_account_as_long_as_account_and_pod_are_there(world: World, tmp_path: Path) -> None:
    signing = keys(tmp_path)
    authenticator = Authenticator(world.cache, signing, lambda: NOW)
    token = signing.sign(claims(jti="j", private={"pod": {"name": "web", "uid": "p"}}))
    with pytest.raises(Unauthorized):
        authenticator.authenticate(None, f"Bearer {token}")
    await world.put(SERVICEACCOUNTS, "robot", "shop", metadata={"uid": "u"})
    await world.put(PODS, "web", "shop", metadata={"uid": "p"})
    user = authenticator.authenticate(None, f"Bearer {token}")
    assert user.info() == {
        "username": "system:serviceaccount:shop:robot",
        "uid": "u",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/credential-id": ["JTI=j"],
            "authentication.kubernetes.io/pod-name": ["web"],
            "authentication.kubernetes.io/pod-uid": ["p"],
        },
    }
    await world.put(PODS, "web", "shop", metadata={"uid": "another"})
    with pytest.raises(Unauthorized):
        authenticator.authenticate(None, f"Bearer {token}")


async def test_a_remembered_token_ends_with_its_time(world: World, tmp_path: Path) -> None:
    signing, moment = keys(tmp_path), [NOW]
    authenticator = Authenticator(world.cache, signing, lambda: moment[0])
    await world.put(SERVICEACCOUNTS, "robot", "shop", metadata={"uid": "u"})
    token = signing.sign(claims())
    assert authenticator.authenticate(None, f"bearer {token}").name == "system:serviceaccount:shop:robot"
    moment[0] = NOW + 61
    with pytest.raises(Unauthorized):
        authenticator.authenticate(None, f"Bearer {token}")


async def test_a_token_for_another_audience_is_refused(world: World, tmp_path: Path) -> None:
    signing = keys(tmp_path)
    authenticator = Authenticator(world.cache, signing, lambda: NOW)
    await world.put(SERVICEACCOUNTS, "robot", "shop", metadata={"uid": "u"})
    token = signing.sign(claims(aud=["vault"]))
    with pytest.raises(TokenError, match="another audience"):
        authenticator.service_account(token)
    assert authenticator.service_account(token, ("vault",)).uid == "u"


async def test_no_credentials_are_nobody_and_unknown_ones_are_refused(world: World, tmp_path: Path) -> None:
    authenticator = Authenticator(world.cache, keys(tmp_path), lambda: NOW)
    assert authenticator.authenticate(None, "") == ANONYMOUS
    for header in ("Basic YTpi", "Bearer x", "Bearer"):
        with pytest.raises(Unauthorized):
            authenticator.authenticate(None, header)
