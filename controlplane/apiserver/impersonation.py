"""Acting as somebody else (`kubectl --as`): who the Impersonate- headers ask to be, and the rights that takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from panal.errors import BadRequest

from .authn import ANONYMOUS, AUTHENTICATED, User
from .authz import Attributes

UNAUTHENTICATED = "system:unauthenticated"
_PREFIX = "impersonate-"
_EXTRA = "impersonate-extra-"
_GROUP = "authentication.k8s.io"


@dataclass(frozen=True)
class Impersonation:
    """The user to be, and what the asking one has to be allowed for that."""

    user: User
    needs: tuple[Attributes, ...]


def requested(headers: Iterable[tuple[str, str]]) -> Impersonation | None:
    """What the headers of a request ask for, None if nothing. Raises BadRequest for details without a user."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    asked = ""
    for key, value in headers:
        key = key.lower()
        if not key.startswith(_PREFIX):
            continue
        if key == "impersonate-user":
            name = value
        elif key == "impersonate-group":
            groups.append(value)
        elif key == "impersonate-uid":
            uid = value
        elif key.startswith(_EXTRA):
            detail = unquote(key.removeprefix(_EXTRA))
            extra[detail] = (*extra.get(detail, ()), value)
        else:
            continue
        asked = asked or key
    if not name:
        if asked:
            raise BadRequest(f"requested {asked} without impersonating a user")
        return None
    return Impersonation(User(name, _groups(name, groups), uid, extra), tuple(_needs(name, groups, uid, extra)))


def _service_account(name: str) -> tuple[str, str] | None:
    match name.split(":"):
        case ["system", "serviceaccount", namespace, account] if namespace and account:
            return namespace, account
    return None


def _groups(name: str, given: list[str]) -> tuple[str, ...]:
    groups = list(given)
    if not groups and (account := _service_account(name)) is not None:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}"]
    if name == ANONYMOUS.name:
        if UNAUTHENTICATED not in groups:
            groups.append(UNAUTHENTICATED)
    elif not {AUTHENTICATED, UNAUTHENTICATED} & set(groups):
        groups.append(AUTHENTICATED)
    return tuple(groups)


def _needs(name: str, groups: list[str], uid: str, extra: dict[str, tuple[str, ...]]) -> Iterable[Attributes]:
    if (account := _service_account(name)) is not None:
        yield Attributes("impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Attributes("impersonate", resource="users", name=name)
    for group in groups:
        yield Attributes("impersonate", resource="groups", name=group)
    for key, values in extra.items():
        for value in values:
            yield Attributes("impersonate", _GROUP, "userextras", key, name=value)
    if uid:
        yield Attributes("impersonate", _GROUP, "uids", name=uid)
