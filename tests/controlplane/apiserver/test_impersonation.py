"""Acting as somebody else: who one becomes, and what has to be allowed for it."""

from __future__ import annotations

import pytest

from panal.controlplane.apiserver.authn import User
from panal.controlplane.apiserver.authz import Attributes
from panal.controlplane.apiserver.impersonation import requested
from panal.errors import BadRequest


def needs(*headers: tuple[str, str]) -> list[Attributes]:
    wanted = requested(headers)
    assert wanted is not None
    return list(wanted.needs)


def groups(*headers: tuple[str, str]) -> tuple[str, ...]:
    wanted = requested(headers)
    assert wanted is not None
    return wanted.user.groups


def test_most_requests_ask_for_nothing() -> None:
    assert requested([("Accept", "application/json"), ("Authorization", "Bearer x")]) is None


def test_a_user_with_every_detail_and_a_right_for_each() -> None:
    wanted = requested(
        [
            ("Impersonate-User", "jane"),
            ("Impersonate-Group", "devs"),
            ("impersonate-group", "ops"),
            ("Impersonate-Uid", "u-1"),
            ("Impersonate-Extra-Example.com%2fTeam", "web"),
            ("Impersonate-Extra-Example.com%2fTeam", "db"),
        ]
    )
    assert wanted is not None
    assert wanted.user == User("jane", ("devs", "ops", "system:authenticated"), "u-1")
    assert wanted.user.extra == {"example.com/team": ("web", "db")}
    assert [(need.group, need.resource, need.subresource, need.name) for need in wanted.needs] == [
        ("", "users", "", "jane"),
        ("", "groups", "", "devs"),
        ("", "groups", "", "ops"),
        ("authentication.k8s.io", "userextras", "example.com/team", "web"),
        ("authentication.k8s.io", "userextras", "example.com/team", "db"),
        ("authentication.k8s.io", "uids", "", "u-1"),
    ]
    assert {need.verb for need in wanted.needs} == {"impersonate"}


def test_a_service_account_comes_with_its_groups_and_needs_a_right_in_its_namespace() -> None:
    header = ("Impersonate-User", "system:serviceaccount:shop:robot")
    assert groups(header) == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
    assert needs(header) == [Attributes("impersonate", resource="serviceaccounts", namespace="shop", name="robot")]


def test_names_that_only_look_like_a_service_account_are_users() -> None:
    header = ("Impersonate-User", "system:serviceaccount:shop")
    assert needs(header) == [Attributes("impersonate", resource="users", name="system:serviceaccount:shop")]
    assert groups(header) == ("system:authenticated",)


@pytest.mark.parametrize(
    ("user", "given", "expected"),
    [
        ("system:anonymous", [], ("system:unauthenticated",)),
        ("system:anonymous", ["system:unauthenticated"], ("system:unauthenticated",)),
        ("jane", ["system:authenticated"], ("system:authenticated",)),
        ("jane", ["system:unauthenticated"], ("system:unauthenticated",)),
    ],
)
def test_everybody_is_authenticated_or_not(user: str, given: list[str], expected: tuple[str, ...]) -> None:
    assert groups(("Impersonate-User", user), *(("Impersonate-Group", group) for group in given)) == expected


@pytest.mark.parametrize("header", ["Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes"])
def test_details_without_a_user_are_a_mistake(header: str) -> None:
    with pytest.raises(BadRequest, match="without impersonating a user"):
        requested([(header, "x")])
