"""Addresses and ports of the loopback network."""

from ipaddress import AddressValueError

import pytest

from panal import addresses


def test_an_address_keeps_its_last_three_octets() -> None:
    assert addresses.localize("192.168.0.101") == "127.168.0.101"
    assert addresses.localize("10.10.1.0/24") == "127.10.1.0/24"


@pytest.mark.parametrize("text", ["", "1.2.3", "::1", "a.b.c.d", "1.2.3.999"])
def test_what_is_no_ipv4_address_is_refused(text: str) -> None:
    with pytest.raises(AddressValueError):
        addresses.localize(text)


def test_addresses_stay_as_they_are_outside_the_loopback_network() -> None:
    assert addresses.localized("192.168.0.1", {}) == "192.168.0.1"
    assert addresses.localized("192.168.0.1", {"PANAL_NETWORK": "loopback"}) == "127.168.0.1"


def test_low_ports_are_shifted_only_where_they_cannot_be_bound() -> None:
    shifted = {"PANAL_LOW_PORTS": "shifted"}
    assert [addresses.real_port(port, shifted) for port in (53, 1023, 1024, 8080, 0)] == [10053, 11023, 1024, 8080, 0]
    assert addresses.real_port(53, {}) == 53
