"""As whom a container runs where the machine's users exist, and where only one does."""

from __future__ import annotations

import os

from panal.agents.runtime.identity import Identity, decide, exists


def anyone(number: int) -> bool:
    return True


def only_root(number: int) -> bool:
    return number == 0


def test_with_all_users() -> None:
    assert decide(None, None, (), anyone, anyone, True) == (Identity(groups=[]), [])
    assert decide(1000, None, (5,), anyone, anyone, True) == (Identity(1000, 0, [5]), [])
    assert decide(0, 33, (), anyone, anyone, True) == (Identity(0, 33, []), [])


def test_with_one_user() -> None:
    assert decide(None, None, (), only_root, only_root, False) == (Identity(), [])
    words = "supplementalGroups and fsGroup have no effect (5, 6): an ordinary user's containers have one group"
    assert decide(None, None, (5, 6), only_root, only_root, False) == (Identity(), [words])
    found, _ = decide(1000, 1001, (5,), only_root, only_root, False)
    assert (found, found.shown_uid) == (Identity(show_as=(1000, 1001)), 1000)


def test_this_users_identity_exists() -> None:
    assert exists(os.getuid(), "uid_map")
    assert not exists(4294967295, "gid_map")
