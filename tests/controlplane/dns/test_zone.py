"""A zone's names: wildcards, names that only have names below them, and records that several sources share."""

from __future__ import annotations

from panal.controlplane.dns import wire
from panal.controlplane.dns.zone import Entry, Zone, Zones


def zone(origin: str = "miempresa.com") -> Zone:
    return Zone(wire.name(origin), primary=wire.name("ns"), mailbox=wire.name("admin"), ttl=5, serial=1)


def a(name: str, address: str) -> Entry:
    return Entry(wire.name(name), *wire.address_data(address))


def found(where: Zone, name: str) -> list[bytes] | None:
    node = where.find(wire.name(name))
    return None if node is None else list(node.get(wire.A, ()))


def test_a_wildcard_stands_for_names_that_do_not_exist_and_for_no_others() -> None:
    here = zone()
    here.put("s", [a("*.miempresa.com", "10.0.0.1"), a("x.lab.miempresa.com", "10.0.0.2")])
    assert found(here, "any.miempresa.com") == [b"\x0a\0\0\1"]
    assert found(here, "deep.any.miempresa.com") == [b"\x0a\0\0\1"]
    assert found(here, "lab.miempresa.com") == []  # exists, for it has a name below
    assert found(here, "y.lab.miempresa.com") is None  # the closest name that exists has no wildcard
    assert found(here, "x.lab.miempresa.com") == [b"\x0a\0\0\2"]


def test_a_record_that_two_sources_say_stays_until_both_take_it_back() -> None:
    here = zone()
    here.put("one", [a("web.miempresa.com", "10.0.0.1")])
    here.put("two", [a("web.miempresa.com", "10.0.0.1")])
    here.drop("one")
    assert found(here, "web.miempresa.com") == [b"\x0a\0\0\1"]
    here.drop("two")
    assert found(here, "web.miempresa.com") is None


def test_names_of_other_zones_are_left_out() -> None:
    here = zone()
    assert not here.put("s", [a("web.otra.com", "10.0.0.1"), a("xmiempresa.com", "10.0.0.1")])
    assert list(here.records()) == []


def test_the_closest_zone_wins() -> None:
    outer, inner = zone("miempresa.com"), zone("lab.miempresa.com")
    zones = Zones([outer, inner])
    assert zones.match(wire.name("x.lab.miempresa.com")) is inner
    assert zones.match(wire.name("x.miempresa.com")) is outer
    assert zones.match(wire.name("com")) is None
    # a label that merely looks like the zone's wire form is no part of it
    sneaky = b"\x0ex" + wire.name("miempresa.com")[:-1][:13] + wire.name("org")
    assert zones.match(sneaky) is None
