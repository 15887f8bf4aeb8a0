"""Who may ask the kubelet's port what: by certificate, by token, by the API server's word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from panal.agents.kubelet.authorization import Guard, Remembered, User, of_certificate, questions
from panal.client import Client, Unreachable


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/metrics/resource", ("get", ("metrics",))),
        ("GET", "/stats/summary", ("get", ("stats",))),
        ("GET", "/pods", ("get", ("pods", "proxy"))),
        ("GET", "/healthz", ("get", ("healthz", "proxy"))),
        ("GET", "/containerLogs/ns/pod/c", ("get", ("proxy",))),
        ("POST", "/exec/ns/pod/c", ("create", ("proxy",))),
    ],
)
def test_pages_are_sub_resources_of_nodes(method: str, path: str, expected: Any) -> None:
    assert questions(method, path) == expected


def test_a_certificates_subject_is_a_user_with_groups() -> None:
    subject = ((("organizationName", "a"),), (("organizationName", "b"),), (("commonName", "jane"),))
    assert of_certificate({"subject": subject}) == User("jane", ("a", "b"))
    assert of_certificate({}) is None
    assert of_certificate(None) is None


def test_answers_are_remembered_for_a_while_and_never_too_many() -> None:
    now = [0.0]
    answers: Remembered[int] = Remembered(lambda: now[0])
    for number in range(3000):
        answers.keep(number, number, 10)
    assert (answers.get(2999), answers.get(0)) == (2999, None)
    now[0] = 11
    assert answers.get(2999) is None


@dataclass
class Api:
    """Knows one token, and what its user may do."""

    allowed: frozenset[str]
    asked: list[str] = field(default_factory=list)

    async def create(self, resource: Any, obj: Any) -> Any:
        self.asked.append(obj["kind"])
        if obj["kind"] == "TokenReview":
            known = obj["spec"]["token"] == "good"
            user = {"username": "system:serviceaccount:monitoring:prometheus", "groups": ["system:serviceaccounts"]}
            return {"status": {"authenticated": known, "user": user}}
        attributes = obj["spec"]["resourceAttributes"]
        assert attributes["name"] == "nodoa"
        return {"status": {"allowed": f"{attributes['verb']} {attributes['subresource']}" in self.allowed}}


def asked(path: str, token: str = "") -> web.Request:
    return make_mocked_request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})


async def test_a_token_may_read_what_its_user_may_and_no_more() -> None:
    api = Api(frozenset({"get metrics"}))
    guard = Guard(api, "nodoa")  # type: ignore[arg-type]
    assert await guard.refusal(asked("/metrics/resource", "good")) is None
    assert await guard.refusal(asked("/metrics/resource", "good")) is None
    assert api.asked == ["TokenReview", "SubjectAccessReview"]
    refused = await guard.refusal(asked("/pods", "good"))
    assert refused is not None
    assert (refused.status, refused.text) == (
        403,
        "Forbidden (user=system:serviceaccount:monitoring:prometheus, verb=get, resource=nodes, "
        "subresource(s)=[pods proxy])\n",
    )


@pytest.mark.parametrize("token", ["", "bad", "x" * 20_000])
async def test_nobody_is_anonymous(token: str) -> None:
    refused = await Guard(Api(frozenset()), "nodoa").refusal(asked("/pods", token))  # type: ignore[arg-type]
    assert refused is not None
    assert (refused.status, refused.text) == (401, "Unauthorized\n")


async def test_nobody_is_let_in_while_the_api_server_is_away() -> None:
    class Away(Client):
        def __init__(self) -> None:
            pass

        async def create(self, *arguments: Any, **more: Any) -> Any:
            raise Unreachable("away")

    refused = await Guard(Away(), "nodoa").refusal(asked("/metrics", "good"))
    assert refused is not None
    assert refused.status == 500
