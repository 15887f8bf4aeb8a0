"""Service account tokens: JSON Web Tokens (RFC 7519) signed with the cluster's key, and the key set that checks them.

ES256 (RFC 7518, 3.4) for elliptic keys, RS256 for RSA keys, as the key file has it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

import orjson

MAX_LENGTH = 16_384
"""Characters of a token that are looked at; real ones are about 1,000."""


LEGACY = "kubernetes/serviceaccount"
"""The issuer of tokens that lie in Secrets and do not expire: valid as long as the Secret has them."""


class TokenError(Exception):
    """The token is not one of this cluster's."""


class Keys:
    """The signing key and the public key. Files are read when it is made; raises ValueError and OSError."""

    def __init__(self, signing: Path, public: Path, issuer: str) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        private = serialization.load_pem_private_key(signing.read_bytes(), None)
        loaded = serialization.load_pem_public_key(public.read_bytes())
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("not an elliptic or RSA key")
        if not isinstance(loaded, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise ValueError("not an elliptic or RSA key")
        self._private = private
        self._public = loaded
        self.issuer = issuer
        der = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _b64(hashlib.sha256(der).digest())
        self.algorithm = "ES256" if isinstance(loaded, ec.EllipticCurvePublicKey) else "RS256"

    def sign(self, claims: dict[str, Any]) -> str:
        header = orjson.dumps({"alg": self.algorithm, "kid": self.key_id})
        signed = f"{_b64(header)}.{_b64(orjson.dumps(claims))}"
        return f"{signed}.{_b64(self._signature(signed.encode()))}"

    def verify(self, token: str, now: float) -> dict[str, Any]:
        """The claims of a token that this key signed and that is valid now. Raises TokenError.

        Tokens of the issuer `LEGACY` never expire: whoever takes them compares them with their Secret.
        """
        if len(token) > MAX_LENGTH:
            raise TokenError("too long")
        try:
            head, body, signature = token.split(".")
            header, claims = orjson.loads(_unb64(head)), orjson.loads(_unb64(body))
            raw = _unb64(signature)
        except (ValueError, binascii.Error) as error:
            raise TokenError("malformed") from error
        if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != self.algorithm:
            raise TokenError("unexpected algorithm")
        self._check(f"{head}.{body}".encode(), raw)
        if claims.get("iss") == LEGACY:
            return claims
        if claims.get("iss") != self.issuer:
            raise TokenError("another issuer")
        expires, starts = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(starts, int | float):
            raise TokenError("no expiry")
        if now >= expires or now < starts - 10:
            raise TokenError("expired")
        return claims

    def key_set(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517) of the public key."""
        from cryptography.hazmat.primitives.asymmetric import ec

        common = {"use": "sig", "kid": self.key_id, "alg": self.algorithm}
        if isinstance(self._public, ec.EllipticCurvePublicKey):
            point = self._public.public_numbers()
            coordinates = {"x": _b64(point.x.to_bytes(32, "big")), "y": _b64(point.y.to_bytes(32, "big"))}
            return {"keys": [{**common, "kty": "EC", "crv": "P-256", **coordinates}]}
        numbers = self._public.public_numbers()
        n = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        return {"keys": [{**common, "kty": "RSA", "n": _b64(n), "e": _b64(numbers.e.to_bytes(3, "big"))}]}

    def _signature(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

        if isinstance(self._private, ec.EllipticCurvePrivateKey):
            r, s = utils.decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self._private.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def _check(self, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

        try:
            if isinstance(self._public, ec.EllipticCurvePublicKey):
                if len(signature) != 64:
                    raise TokenError("malformed signature")
                pair = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                self._public.verify(utils.encode_dss_signature(*pair), data, ec.ECDSA(hashes.SHA256()))
            else:
                self._public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise TokenError("invalid signature") from error


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
