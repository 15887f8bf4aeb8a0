"""Which pod address is next."""

from __future__ import annotations

import pytest

from panal.agents.network.podaddresses import RECENT, AddressesExhausted, AddressPool, check_sandbox_id, pod_addresses


def test_the_network_its_first_and_its_last_address_are_nobodys():
    assert list(pod_addresses("10.10.0.0/29")) == ["10.10.0.2", "10.10.0.3", "10.10.0.4", "10.10.0.5", "10.10.0.6"]


def test_an_address_given_back_is_taken_again_only_after_the_others():
    pool = AddressPool("10.10.0.0/29")
    first = pool.take()
    pool.give_back(first)
    assert [pool.take() for _ in range(5)] == ["10.10.0.3", "10.10.0.4", "10.10.0.5", "10.10.0.6", first]


def test_a_full_network_says_so_and_works_again_once_an_address_is_back():
    pool = AddressPool("10.10.0.0/29", ["10.10.0.2", "10.10.0.3"])
    for _ in range(3):
        pool.take()
    with pytest.raises(AddressesExhausted, match=r"10\.10\.0\.0/29"):
        pool.take()
    pool.give_back("10.10.0.3")
    pool.give_back("10.10.0.3")
    assert pool.take() == "10.10.0.3"


def test_only_the_latest_returns_are_spared():
    pool = AddressPool("10.0.0.0/24")
    taken = [pool.take() for _ in range(RECENT + 1)]
    for address in taken:
        pool.give_back(address)
    assert pool.take() == taken[0]


@pytest.mark.parametrize("bad", ["", "..", "a/b", "-a", "a\n", "x" * 129])
def test_what_cannot_be_a_files_name_is_no_sandbox_id(bad):
    with pytest.raises(ValueError, match="no sandbox id"):
        check_sandbox_id(bad)
