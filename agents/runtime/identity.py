"""As whom a container's process runs, where the kernel allows it; where not, as whom it sees itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .contract import ContainerConfig

Exists = Callable[[int], bool]


@dataclass(frozen=True)
class Identity:
    """As in a SpawnRequest: uid, gid and groups are taken on, or `show_as` makes it look so. See there `sole_owner`."""

    uid: int | None = None
    gid: int | None = None
    groups: Sequence[int] | None = None
    show_as: tuple[int, int] | None = None
    sole_owner: tuple[int, int] | None = None

    @property
    def shown_uid(self) -> int | None:
        return self.show_as[0] if self.show_as else self.uid


def identity(config: ContainerConfig, image_user: int | None) -> tuple[Identity, list[str]]:
    """The identity for this configuration in the current user namespace, and warnings."""
    uid = config.user if config.user is not None else image_user
    who, warnings = decide(
        uid,
        config.group,
        tuple(config.supplemental_groups),
        lambda number: exists(number, "uid_map"),
        lambda number: exists(number, "gid_map"),
        may_set_groups(),
    )
    return replace(who, sole_owner=who.show_as or _only_one()), warnings


def decide(
    uid: int | None,
    gid: int | None,
    groups: Sequence[int],
    has_uid: Exists,
    has_gid: Exists,
    set_groups: bool,
) -> tuple[Identity, list[str]]:
    """Pure. A user without a group has group 0, as in containerd when the password file doesn't tell."""
    wanted_uid, wanted_gid = uid or 0, gid or 0
    if has_uid(wanted_uid) and has_gid(wanted_gid):
        changes = bool(wanted_uid or wanted_gid)
        if set_groups:
            kept = [group for group in groups if has_gid(group)]
            return Identity(wanted_uid if changes else None, wanted_gid if changes else None, kept), []
        return Identity(wanted_uid if changes else None, wanted_gid if changes else None), no_groups(groups)
    return Identity(show_as=(wanted_uid, wanted_gid)), no_groups(groups)


def no_groups(groups: Sequence[int]) -> list[str]:
    """What is said to a container that asks for more groups where there is but one."""
    if not groups:
        return []
    names = ", ".join(map(str, groups))
    return [f"supplementalGroups and fsGroup have no effect ({names}): an ordinary user's containers have one group"]


def exists(number: int, table: str) -> bool:
    """Whether this user or group has an identity outside, by /proc/self/uid_map or gid_map."""
    return any(first <= number < first + length for first, length in _ranges(table))


def _only_one() -> tuple[int, int] | None:
    """The user and the group of this namespace, if it has no others."""
    users, groups = _ranges("uid_map"), _ranges("gid_map")
    return (users[0][0], groups[0][0]) if [length for _, length in (*users, *groups)] == [1, 1] else None


def _ranges(table: str) -> list[tuple[int, int]]:
    """(first, length) of the ranges that exist here."""
    with open(f"/proc/self/{table}") as file:
        return [(int(first), int(length)) for first, _, length in map(str.split, file)]


def may_set_groups() -> bool:
    if os.geteuid() != 0:
        return False
    with open("/proc/self/setgroups") as file:
        return file.read().strip() == "allow"
