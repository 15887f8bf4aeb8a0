"""The filter's answers, by a reading of its instructions as linux/filter.h has them."""

from __future__ import annotations

import pytest

from panal.agents.runtime.ownership import program

ALLOW, SUCCEED = 0x7FFF0000, 0x00050000
MACHINES = {"x86_64": (0xC000003E, 92, 260), "aarch64": (0xC00000B7, 55, 54)}
SAME = 0xFFFFFFFF


def answer(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """Run it over a call."""
    data = {0: number, 4: architecture, **{16 + 8 * at: value for at, value in enumerate(arguments)}}
    instructions, at, loaded = program((5, 7), machine), 0, 0
    while True:
        code, yes, no, constant = instructions[at]
        if code == 0x06:
            return constant
        if code == 0x20:
            loaded = data[constant]
        at += 1 + (code == 0x15 and (yes if loaded == constant else no))


@pytest.mark.parametrize("machine", MACHINES)
def test_only_gifts_to_those_who_do_not_exist_are_answered(machine: str) -> None:
    architecture, chown, fchownat = MACHINES[machine]
    for owner, expected in {
        (5, 7): ALLOW,
        (SAME, SAME): ALLOW,
        (5, SAME): ALLOW,
        (SAME, 7): ALLOW,
        (1000, SAME): SUCCEED,
        (1000, 7): SUCCEED,
        (5, 33): SUCCEED,
        (SAME, 33): SUCCEED,
        (0, 0): SUCCEED,
    }.items():
        assert answer(machine, architecture, chown, 1234, *owner) == expected
        assert answer(machine, architecture, fchownat, 3, 1234, *owner, 0) == expected


def test_other_calls_and_other_architectures_pass() -> None:
    assert answer("x86_64", 0xC000003E, 1, 1, 1000, 1000) == ALLOW
    assert answer("x86_64", 0x40000003, 92, 1, 1000, 1000) == ALLOW
    assert program((0, 0), "sparc64") == []
