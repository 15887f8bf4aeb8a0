"""Basic authentication: the users of an htpasswd file or of a Secret's keys, and whether a password is theirs.

Hashes are slow on purpose: they are computed beside the event loop, one at a time, and outcomes are remembered (as
keyed digests, never the passwords) for as long as the Secret stays as it is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ctypes
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Object = Mapping[str, Any]
MAX_USERS = 10_000
MAX_PASSWORD = 256
REMEMBERED = 4096
MAX_WAITING = 64
"""Passwords waiting to be looked at; further ones are refused, so that guessing costs others nothing."""
_ITOA = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Users:
    """Whom one Ingress lets in. Without a usable Secret, nobody, and the answer is 503."""

    realm: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    """Of the Secret: what is remembered of another version counts no more."""
    usable: bool = True


def read_users(secret: Object, kind: str, realm: str) -> Users:
    """`auth-file`: an htpasswd file under the key `auth`; `auth-map`: a user for each key. Raises ValueError."""
    data = secret.get("data") or {}
    try:
        texts = {key: base64.b64decode(value, validate=True).decode() for key, value in data.items()}
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError("its data is not readable") from error
    if kind == "auth-map":
        pairs = list(texts.items())
    elif "auth" in texts:
        pairs = [line.strip().partition(":")[::2] for line in texts["auth"].splitlines() if ":" in line]
    else:
        raise ValueError('it has no key "auth"')
    hashes = {user: found.strip() for user, found in pairs[:MAX_USERS] if not user.startswith("#")}
    metadata = secret["metadata"]
    return Users(realm, hashes, f"{metadata.get('uid')}/{metadata.get('resourceVersion')}")


def matches(password: bytes, stored: str) -> bool:
    """Whether the password is the one of a line of htpasswd: apr1, {SHA}, {SSHA}, or what the C library knows."""
    if len(password) > MAX_PASSWORD or b"\0" in password:
        return False
    if stored.startswith("$apr1$"):
        made: str | None = apr1(password, stored.split("$")[2])
    elif stored.startswith("{SHA}"):
        made = "{SHA}" + base64.b64encode(hashlib.sha1(password).digest()).decode()
    elif stored.startswith("{SSHA}"):
        return _salted(password, stored[6:])
    else:
        made = _crypt(password, stored)
    return made is not None and hmac.compare_digest(made.encode(), stored.encode())


def _salted(password: bytes, encoded: str) -> bool:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(raw) > 20 and hmac.compare_digest(hashlib.sha1(password + raw[20:]).digest(), raw[:20])


@lru_cache(1)
def _library() -> Any:
    """libcrypt, which every Debian has: bcrypt, SHA-512, SHA-256, MD5."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt_r.restype = ctypes.c_char_p
    library.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    return library


def _crypt(password: bytes, stored: str) -> str | None:
    if not stored.startswith("$"):  # the C library would take anything else for DES
        return None
    try:
        room = ctypes.create_string_buffer(1 << 17)  # struct crypt_data is 32 KiB, once 128
        made = _library().crypt_r(password, stored.encode(), room)
    except OSError:
        return None
    return made.decode("ascii", "replace") if made else None


def apr1(password: bytes, salt: str) -> str:
    """Apache's MD5 crypt, what `htpasswd` writes by default: 1,000 rounds."""
    seed = salt[:8].encode()
    inner = hashlib.md5(password + seed + password).digest()
    first = hashlib.md5(password + b"$apr1$" + seed)
    first.update((inner * (len(password) // 16 + 1))[: len(password)])
    bits = len(password)
    while bits:
        first.update(b"\0" if bits & 1 else password[:1])
        bits >>= 1
    final = first.digest()
    for step in range(1000):
        around = hashlib.md5(password if step & 1 else final)
        if step % 3:
            around.update(seed)
        if step % 7:
            around.update(password)
        around.update(final if step & 1 else password)
        final = around.digest()
    triples = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
    text = "".join(_letters(final[a] << 16 | final[b] << 8 | final[c], 4) for a, b, c in triples)
    return f"$apr1${salt[:8]}${text}{_letters(final[11], 2)}"


def _letters(number: int, count: int) -> str:
    return "".join(_ITOA[number >> shift & 0x3F] for shift in range(0, 6 * count, 6))


class Passwords:
    """Outcomes, remembered."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._known: OrderedDict[bytes, bool] = OrderedDict()
        self._one = asyncio.Lock()
        self._waiting = 0

    def known(self, users: Users, user: str, password: bytes) -> bool | None:
        """None where it has to be computed."""
        return False if user not in users.hashes else self._known.get(self._digest(users, user, password))

    async def check(self, users: Users, user: str, password: bytes) -> bool:
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            async with self._one:
                if (known := self.known(users, user, password)) is not None:
                    return known
                outcome = await asyncio.to_thread(matches, password, users.hashes[user])
        finally:
            self._waiting -= 1
        self._known[self._digest(users, user, password)] = outcome
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return outcome

    def _digest(self, users: Users, user: str, password: bytes) -> bytes:
        parts = (users.version.encode(), user.encode("utf-8", "surrogateescape"), users.hashes[user].encode(), password)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.blake2b(message, key=self._key, digest_size=32).digest()
