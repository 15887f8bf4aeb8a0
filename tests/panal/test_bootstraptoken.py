"""Stories of tokens: who can show to be the cluster that made one, and who can't."""

from __future__ import annotations

import datetime
import os

import pytest

from panal import bootstraptoken
from panal.bootstraptoken import Untrusted, cluster_info, expired, generate, pin, secret, split, trusted_authority
from panal.controlplane.apiserver.bootstraptokens import groups
from panal.pki import Authority

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
TOKEN = "abcdef.0123456789abcdef"
AUTHORITY = Authority.create("kubernetes", NOW).certificate
OTHER = Authority.create("kubernetes", NOW).certificate
SERVER = "https://192.0.2.7:6443"


def info(authority: bytes = AUTHORITY, token: str = TOKEN) -> dict[str, object]:
    return cluster_info(SERVER, authority, dict([split(token)]))


def test_a_token_has_the_form_kubeadm_gives_it_and_no_two_are_alike():
    made = {generate(os.urandom(128)) for _ in range(50)}
    assert len(made) == 50
    for token in made:
        assert [len(part) for part in split(token)] == [6, 16]
    with pytest.raises(ValueError, match="such as abcdef"):
        split("abcdef.short")


def test_the_api_server_takes_the_token_of_the_secret_until_it_expires():
    made = secret(TOKEN, "laptop", NOW + datetime.timedelta(hours=1))
    assert made["metadata"]["name"] == "bootstrap-token-abcdef"
    asked = (made, "abcdef", "0123456789abcdef")
    assert bootstraptoken.JOINERS in (groups(*asked, NOW.timestamp()) or ())
    assert groups(*asked, NOW.timestamp() + 3601) is None
    assert not expired(made, NOW)
    assert expired(made, NOW + datetime.timedelta(hours=1))


def test_a_machine_trusts_the_authority_that_the_token_signed_and_the_hash_names():
    assert trusted_authority(info(), TOKEN, pin(AUTHORITY)) == AUTHORITY
    assert trusted_authority(info(), TOKEN, None) == AUTHORITY


@pytest.mark.parametrize(
    ("found", "token", "hash_of", "why"),
    [
        (info(OTHER), TOKEN, AUTHORITY, "its CA is sha256:"),
        (info(), "ghijkl.0123456789abcdef", AUTHORITY, "no token with the id 'ghijkl'"),
        (info(), "abcdef.aaaaaaaaaaaaaaaa", AUTHORITY, "with another secret"),
        ({"data": {"kubeconfig": "nonsense"}}, TOKEN, AUTHORITY, "can't be read"),
        ({"data": {}}, TOKEN, AUTHORITY, "has no kubeconfig"),
        ({"data": {**info()["data"], "kubeconfig": info(OTHER)["data"]["kubeconfig"]}}, TOKEN, None, "another secret"),
    ],
    ids=["another authority", "another id", "another secret", "nonsense", "nothing", "not what was signed"],
)
def test_an_impostor_is_told_apart(found: dict[str, object], token: str, hash_of: bytes, why: str):
    with pytest.raises(Untrusted, match=why):
        trusted_authority(found, token, pin(hash_of) if hash_of else None)
