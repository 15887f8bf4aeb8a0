"""The API's errors and the Status objects they become."""

import pytest

from panal import errors


def test_not_found_says_what_a_real_api_server_says() -> None:
    status = errors.not_found("deployments", "apps", "web").status()
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


@pytest.mark.parametrize(
    "error",
    [
        errors.already_exists("pods", "", "a"),
        errors.conflict("pods", "", "a", "it changed"),
        errors.Gone("too old resource version: 1 (2)"),
        errors.Invalid("no", details={"causes": []}),
        errors.TooManyRequests("later"),
    ],
)
def test_an_error_survives_the_way_over_the_wire(error: errors.StatusError) -> None:
    read = errors.from_status(error.status())
    assert type(read) is type(error)
    assert read.status() == error.status()


def test_conflict_and_already_exists_share_a_code_but_not_a_class() -> None:
    assert type(errors.from_status({"code": 409, "reason": "AlreadyExists"})) is errors.AlreadyExists
    assert type(errors.from_status({"code": 409, "reason": "Conflict"})) is errors.Conflict


def test_an_unknown_reason_falls_back_to_the_code() -> None:
    error = errors.from_status({"code": 404, "reason": "Elsewhere", "message": "x"})
    assert isinstance(error, errors.NotFound)
    assert error.reason == "Elsewhere"
