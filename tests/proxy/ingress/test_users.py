"""Passwords: every kind of hash against what openssl makes, and what is remembered of them."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess

import pytest

from panal.proxy.ingress import users as users_module
from panal.proxy.ingress.users import Passwords, Users, matches, read_users


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the hashes")
@pytest.mark.parametrize("kind", ["-apr1", "-6", "-5", "-1"])
@pytest.mark.parametrize("password", ["x", "secret", "a password that is rather long, señor"])
def test_every_kind_of_hash_knows_its_password(kind: str, password: str) -> None:
    made = subprocess.run(
        ["openssl", "passwd", kind, "-salt", "abcdefgh", password], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert matches(password.encode(), made)
    assert not matches(password.encode() + b" ", made)


@pytest.mark.parametrize("stored", ["", "secret", "$", "$apr1$", "$9$x$y", "{SSHA}!!", "{SHA}", "ab01FAX.bQRSU"])
def test_what_is_no_hash_has_no_password(stored: str) -> None:
    assert not matches(b"secret", stored)
    assert not matches(b"", stored)


def test_what_a_secret_must_hold() -> None:
    def secret(**data: str) -> dict[str, object]:
        return {"metadata": {}, "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}}

    assert read_users(secret(auth="a:b:c\n\nnonsense\n#d:e\n"), "auth-file", "r").hashes == {"a": "b:c"}
    assert read_users(secret(a="b", c="d"), "auth-map", "r").hashes == {"a": "b", "c": "d"}
    for bad in (secret(users="a:b"), {"metadata": {}, "data": {"auth": "!"}}, {"metadata": {}}):
        with pytest.raises(ValueError, match=r"it has no key|not readable"):
            read_users(bad, "auth-file", "r")


async def test_an_outcome_is_computed_once_for_each_version(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def slow(password: bytes, stored: str) -> bool:
        asked.append(password)
        return password == stored.encode()

    monkeypatch.setattr(users_module, "matches", slow)
    passwords = Passwords()
    first, second = Users("r", {"ana": "pw"}, "1"), Users("r", {"ana": "pw"}, "2")
    assert await asyncio.gather(*(passwords.check(first, "ana", b"pw") for _ in range(5))) == [True] * 5
    assert asked == [b"pw"]
    assert passwords.known(first, "ana", b"pw") is True
    assert passwords.known(first, "eve", b"pw") is False
    assert passwords.known(second, "ana", b"pw") is None
    outcomes = await asyncio.gather(*(passwords.check(first, "ana", b"%d" % n) for n in range(200)))
    assert not any(outcomes)
    assert len(asked) == 1 + users_module.MAX_WAITING
