"""What clients live through, against a real server process over TLS."""

from __future__ import annotations

import asyncio
import io
import signal
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from yarl import URL

if TYPE_CHECKING:
    from .conftest import ApiServer

MERGE = "application/merge-patch+json"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


class Http:
    """Raw requests as one user."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession, context: Any) -> None:
        self._server, self.session, self._context = server, session, context

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        raw_body = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        data = None if raw_body is None else io.BytesIO(raw_body)
        given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        url = URL(self._server.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=given, ssl=self._context) as answer:
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if raw[:1] == b"{" else raw.decode()

    def stream(self, path: str) -> Any:
        return self.session.get(self._server.url + path, ssl=self._context)


@pytest.fixture
async def admin(apiserver: ApiServer) -> AsyncIterator[Http]:
    async with aiohttp.ClientSession() as session:
        yield Http(apiserver, session, apiserver.ssl())
    await asyncio.sleep(0.01)  # TLS connections end one loop later than their session


@pytest.fixture
async def jane(apiserver: ApiServer) -> AsyncIterator[Http]:
    async with aiohttp.ClientSession() as session:
        yield Http(apiserver, session, apiserver.ssl("jane", "devs"))
    await asyncio.sleep(0.01)


async def events(response: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(5):
        return [orjson.loads(await response.content.readline()) for _ in range(count)]


async def test_a_watch_shows_an_object_come_into_and_leave_a_selection(admin: Http) -> None:
    _, listed = await admin("GET", CONFIGMAPS)
    since = listed["metadata"]["resourceVersion"]
    async with admin.stream(f"{CONFIGMAPS}?watch=1&resourceVersion={since}&labelSelector=story%3Dw") as response:
        await admin("POST", CONFIGMAPS, config_map("w1"))
        for labels in ({"story": "w"}, {"story": "w", "x": "y"}, {"story": "v"}):
            obj = {**config_map("w1"), "metadata": {"name": "w1", "labels": labels}}
            await admin("PUT", f"{CONFIGMAPS}/w1", obj)
        seen = await events(response, 3)
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert revisions == sorted(set(revisions))


async def test_a_watch_from_a_forgotten_revision_says_gone(admin: Http) -> None:
    async def write(worker: int) -> None:
        path = f"{CONFIGMAPS}/gone-{worker}"
        await admin("POST", CONFIGMAPS, config_map(f"gone-{worker}"))
        for number in range(105):
            await admin("PATCH", path, {"data": {"n": str(number)}}, Content_Type=MERGE)
        await admin("DELETE", path)

    await asyncio.gather(*(write(worker) for worker in range(40)))
    async with admin.stream(f"{CONFIGMAPS}?watch=1&resourceVersion=1") as response:
        (event,) = await events(response, 1)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_initial_events_end_with_an_annotated_bookmark(admin: Http) -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with admin.stream(f"/api/v1/namespaces?{query}") as response:
        seen = await events(response, 5)
    assert [event["type"] for event in seen] == ["ADDED"] * 4 + ["BOOKMARK"]
    assert seen[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_pages_of_a_list_show_one_moment(admin: Http) -> None:
    for name in ("p1", "p2", "p3", "p4", "p5"):
        obj = {**config_map(name), "metadata": {"name": name, "labels": {"page": "y"}}}
        assert (await admin("POST", CONFIGMAPS, obj))[0] == 201
    _, first = await admin("GET", f"{CONFIGMAPS}?limit=2&labelSelector=page%3Dy")
    await admin("DELETE", f"{CONFIGMAPS}/p4")
    token = first["metadata"]["continue"]
    _, second = await admin("GET", f"{CONFIGMAPS}?limit=9&labelSelector=page%3Dy&continue={token}")
    names = [item["metadata"]["name"] for page in (first, second) for item in page["items"]]
    assert names == ["p1", "p2", "p3", "p4", "p5"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_of_two_writers_with_the_same_revision_one_wins(admin: Http) -> None:
    _, made = await admin("POST", CONFIGMAPS, config_map("race"))
    answers = await asyncio.gather(
        *(admin("PUT", f"{CONFIGMAPS}/race", {**made, "data": {"n": str(n)}}) for n in range(10))
    )
    assert sorted(code for code, _ in answers) == [200] + [409] * 9


async def test_patches_by_many_clients_all_take_effect(admin: Http) -> None:
    await admin("POST", CONFIGMAPS, config_map("many"))
    answers = await asyncio.gather(
        *(admin("PATCH", f"{CONFIGMAPS}/many", {"data": {f"k{n}": "v"}}, Content_Type=MERGE) for n in range(12))
    )
    assert [code for code, _ in answers] == [200] * 12
    _, obj = await admin("GET", f"{CONFIGMAPS}/many")
    assert set(obj["data"]) == {f"k{n}" for n in range(12)}


async def test_finalizers_hold_a_deleted_object_until_they_are_gone(admin: Http) -> None:
    obj = {**config_map("held"), "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    await admin("POST", CONFIGMAPS, obj)
    code, deleted = await admin("DELETE", f"{CONFIGMAPS}/held")
    assert code == 200
    assert deleted["metadata"]["deletionTimestamp"]
    patch = {"metadata": {"finalizers": None}}
    await admin("PATCH", f"{CONFIGMAPS}/held", patch, Content_Type=MERGE)
    assert (await admin("GET", f"{CONFIGMAPS}/held"))[0] == 404


async def test_who_has_no_role_is_told_so(jane: Http) -> None:
    code, status = await jane("GET", "/apis/apps/v1/namespaces/default/deployments/x")
    assert code == 403
    assert status["message"] == (
        'deployments.apps "x" is forbidden: User "jane" cannot get resource "deployments" '
        'in API group "apps" in the namespace "default"'
    )
    assert (await jane("GET", "/version"))[0] == 200


async def test_only_who_may_acts_as_somebody_else(admin: Http, jane: Http) -> None:
    code, who = await admin(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, Impersonate_User="bob", Impersonate_Group="ops"
    )
    assert (code, who["status"]["userInfo"]) == (201, {"username": "bob", "groups": ["ops", "system:authenticated"]})
    code, refused = await admin("GET", CONFIGMAPS, Impersonate_User="bob")
    assert (code, refused["message"]) == (
        403,
        'configmaps is forbidden: User "bob" cannot list resource "configmaps" in API group "" '
        'in the namespace "default"',
    )
    code, refused = await jane("GET", "/api", Impersonate_User="admin", Impersonate_Group="system:masters")
    assert (code, refused["message"]) == (
        403,
        'users "admin" is forbidden: User "jane" cannot impersonate resource "users" in API group "" '
        "at the cluster scope",
    )


async def test_a_role_takes_effect_with_its_binding(admin: Http, jane: Http) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]}
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}],
    }
    assert (await admin("POST", f"{rbac}/roles", role))[0] == 201
    assert (await jane("GET", "/api/v1/namespaces/default/secrets"))[0] == 403
    assert (await admin("POST", f"{rbac}/rolebindings", binding))[0] == 201
    assert (await jane("GET", "/api/v1/namespaces/default/secrets"))[0] == 200
    assert (await jane("GET", "/api/v1/namespaces/kube-system/secrets"))[0] == 403


async def test_a_service_account_token_is_the_account(apiserver: ApiServer, admin: Http) -> None:
    account = {"metadata": {"name": "robot"}}
    assert (await admin("POST", "/api/v1/namespaces/default/serviceaccounts", account))[0] == 201
    path = "/api/v1/namespaces/default/serviceaccounts/robot/token"
    _, made = await admin("POST", path, {"spec": {"expirationSeconds": 600}})
    token = made["status"]["token"]
    context = ssl.create_default_context(cadata=apiserver.authority.certificate.decode())
    robot = Http(apiserver, admin.session, context)
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    async with aiohttp.ClientSession() as session:
        robot.session = session
        code, who = await robot("POST", review, {}, Authorization=f"Bearer {token}")
        assert (code, who["status"]["userInfo"]["username"]) == (201, "system:serviceaccount:default:robot")
        assert (await robot("POST", review, {}, Authorization=f"Bearer {token[:-6]}AAAAAA"))[0] == 401
        assert (await robot("GET", "/api/v1/nodes"))[0] == 403
        await admin("DELETE", "/api/v1/namespaces/default/serviceaccounts/robot")
        assert (await robot("POST", review, {}, Authorization=f"Bearer {token}"))[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CONFIGMAPS, b"\xff\xfe"),
        ("POST", CONFIGMAPS, b"[" * 100_000),
        ("POST", CONFIGMAPS, b'{"metadata": 3}'),
        ("POST", CONFIGMAPS, b'{"metadata": {"name": 3}}'),
        ("POST", CONFIGMAPS, b'{"metadata": {"name": "x", "labels": []}}'),
        ("POST", CONFIGMAPS, b'{"apiVersion": [], "kind": {}}'),
        ("POST", CONFIGMAPS, b"null"),
        ("POST", CONFIGMAPS, b""),
        ("PUT", CONFIGMAPS + "/x", b'{"metadata": null}'),
        ("DELETE", CONFIGMAPS, b'{"gracePeriodSeconds": "x"}'),
        ("DELETE", CONFIGMAPS + "/x", b'{"preconditions": []}'),
        ("GET", CONFIGMAPS + "/%2e%2e", None),
        ("GET", CONFIGMAPS + "//", None),
        ("GET", CONFIGMAPS + "?continue=%00", None),
        ("GET", CONFIGMAPS + "?labelSelector=((((", None),
        ("GET", CONFIGMAPS + "?resourceVersion=-1", None),
        ("GET", CONFIGMAPS + "?watch=1&timeoutSeconds=x", None),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", b'{"spec": []}'),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/x/token", b'{"spec": {"audiences": 3}}'),
        ("POST", "/api/v1/namespaces/default/pods/x/binding", b'{"target": []}'),
        ("POST", "/api/v1/namespaces/default/pods/x/eviction", b'{"deleteOptions": []}'),
        ("BREW", CONFIGMAPS, None),
    ],
)
async def test_nonsense_is_the_clients_fault(admin: Http, method: str, path: str, body: bytes | None) -> None:
    code, status = await admin(method, path, body)
    assert 400 <= code < 500, status


@pytest.mark.parametrize(
    "kind",
    [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"3", b'[{"op":"add"}]', b'{"metadata":[]}', b"a: [", b'{"metadata":{"labels":3}}']
)
async def test_no_patch_breaks_the_server(admin: Http, kind: str, body: bytes) -> None:
    await admin("POST", CONFIGMAPS, config_map("patched"))
    code, status = await admin("PATCH", f"{CONFIGMAPS}/patched?fieldManager=m", body, Content_Type=kind)
    assert code < 500, status


@pytest.mark.parametrize(
    ("media", "shown", "why"),
    [
        (
            "strategic-merge",
            "map[metadata:map[labels:invalid]]",
            "cannot restore map from string",
        ),
        ("merge", "", "json: cannot unmarshal string into Go struct field ObjectMeta.metadata.labels"),
    ],
)
async def test_a_patch_whose_outcome_cannot_be_read_says_why(admin: Http, media: str, shown: str, why: str) -> None:
    await admin("POST", CONFIGMAPS, config_map("unreadable"))
    where, body = f"{CONFIGMAPS}/unreadable", b'{"metadata":{"labels":"invalid"}}'
    code, status = await admin("PATCH", where, body, Content_Type=f"application/{media}-patch+json")
    assert code == 422
    assert status["message"].startswith(f' "" is invalid: patch: Invalid value: "{shown}')
    assert f": {why}" in status["message"]


async def test_too_large_a_body_is_refused(admin: Http) -> None:
    body = orjson.dumps(config_map("big", x="y" * (3 * 1024 * 1024)))
    assert (await admin("POST", CONFIGMAPS, body))[0] == 413


async def test_a_server_killed_amid_writes_has_kept_what_it_acknowledged(fresh_apiserver: ApiServer) -> None:
    server = fresh_apiserver
    server.start()
    acknowledged: list[str] = []

    async def write(http: Http, worker: int) -> None:
        for number in range(10_000):
            name = f"w{worker}-{number}"
            code, _ = await http("POST", CONFIGMAPS, config_map(name))
            assert code == 201
            acknowledged.append(name)

    async with aiohttp.ClientSession() as session:
        http = Http(server, session, server.ssl())
        writers = asyncio.gather(*(write(http, worker) for worker in range(8)), return_exceptions=True)
        async with asyncio.timeout(20):
            while len(acknowledged) <= 20:
                await asyncio.sleep(0.01)
        server.stop(signal.SIGKILL)
        await writers
    server.start()
    async with aiohttp.ClientSession() as session:
        _, listed = await Http(server, session, server.ssl())("GET", CONFIGMAPS)
    assert set(acknowledged) <= {item["metadata"]["name"] for item in listed["items"]}
    assert server.stop() == 0


async def test_a_restarted_server_has_everything_from_its_first_answer_on(fresh_apiserver: ApiServer) -> None:
    """It replays the last thousand changes for watchers; whoever asks meanwhile must not be told of an older state."""
    server = fresh_apiserver
    server.start()
    names, text = [f"c-{number}" for number in range(400)], "x" * 60_000
    async with aiohttp.ClientSession() as session:
        http = Http(server, session, server.ssl())
        for some in range(0, len(names), 100):
            await asyncio.gather(
                *(http("POST", CONFIGMAPS, config_map(name, text=text)) for name in names[some : some + 100])
            )
    server.stop(signal.SIGKILL)
    for _ in range(2):
        server.start()
        async with aiohttp.ClientSession() as session:
            http = Http(server, session, server.ssl())
            answers = await asyncio.gather(*(http("GET", f"{CONFIGMAPS}/{name}") for name in names[-10:]))
        assert {code for code, _ in answers} == {200}
        server.stop(signal.SIGKILL)


async def test_a_watch_goes_on_over_a_restart_without_a_relist(fresh_apiserver: ApiServer) -> None:
    server = fresh_apiserver
    server.start()
    async with aiohttp.ClientSession() as session:
        http = Http(server, session, server.ssl())
        _, made = await http("POST", CONFIGMAPS, config_map("first"))
        await http("POST", CONFIGMAPS, config_map("second"))
    server.stop(signal.SIGKILL)
    server.start()
    since = made["metadata"]["resourceVersion"]
    async with aiohttp.ClientSession() as session:
        http = Http(server, session, server.ssl())
        async with http.stream(f"{CONFIGMAPS}?watch=1&resourceVersion={since}") as response:
            (event,) = await events(response, 1)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "second")


def test_a_taken_port_is_said_in_a_sentence(apiserver: ApiServer, fresh_apiserver: ApiServer) -> None:
    fresh_apiserver.port = apiserver.port
    with pytest.raises(AssertionError):
        fresh_apiserver.start()
    assert fresh_apiserver.process is not None
    assert fresh_apiserver.process.wait(5) == 1
    assert "cannot listen on" in fresh_apiserver.log()
    assert "Traceback" not in fresh_apiserver.log()


def test_a_damaged_database_is_said_in_a_sentence(fresh_apiserver: ApiServer) -> None:
    (fresh_apiserver.home / "store").mkdir()
    (fresh_apiserver.home / "store" / "store.db").write_bytes(b"no database" * 1000)
    with pytest.raises(AssertionError):
        fresh_apiserver.start()
    assert fresh_apiserver.process is not None
    assert fresh_apiserver.process.wait(5) == 1
    assert "cannot be used" in fresh_apiserver.log()
    assert "Traceback" not in fresh_apiserver.log()
