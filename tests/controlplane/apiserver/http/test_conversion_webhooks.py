"""Custom kinds whose versions differ: a webhook of the test's own converts between them."""

from __future__ import annotations

import base64
import copy
import http.client
import itertools
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from .conftest import ApiServer, make
from .operators import Operator, operating
from .recorded import Recorder

Object = dict[str, Any]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    made = make(
        tmp_path_factory.mktemp("conversions"),
        network="loopback",
        arguments=["--service-cluster-ip-range=127.96.0.0/12"],
    )
    made.start()
    yield made
    assert made.stop() == 0, made.log()


@pytest.fixture(scope="module")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with operating(server, tmp_path_factory.mktemp("operator")) as found:
        yield found


def converted(obj: Object, version: str) -> Object:
    """Version v1 says hostPort, v2 host and port."""
    made = copy.deepcopy(obj)
    made["apiVersion"] = version
    if version.endswith("/v2") and "hostPort" in made:
        made["host"], _, made["port"] = made.pop("hostPort").partition(":")
    elif version.endswith("/v1") and "host" in made:
        made["hostPort"] = f"{made.pop('host')}:{made.pop('port')}"
    return made


def answer(request: Object, **changes: Any) -> Object:
    objects = [converted(each, request["desiredAPIVersion"]) for each in request["objects"]]
    response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects, **changes}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}


class World:
    """One definition with two versions, of which `stored` lies in the store."""

    def __init__(self, client: Recorder, operator: Operator) -> None:
        self.client, self.operator = client, operator
        self.group = f"g{next(_numbers)}.example.com"
        self.name = f"sites.{self.group}"

    def definition(self, stored: str) -> Object:
        text: Object = {"type": "string"}
        status = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
        fields = {"v1": {"hostPort": text}, "v2": {"host": text, "port": {**text, "default": "80"}}}
        versions = [
            {
                "name": name, "served": True, "storage": name == stored, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {**each, "status": status}}},
            }
            for name, each in fields.items()
        ]  # fmt: skip
        conversion = {
            "strategy": "Webhook",
            "webhook": {
                "clientConfig": self.operator.client("/convert"),
                "conversionReviewVersions": ["v1", "v1beta1"],
            },
        }
        names = {"plural": "sites", "singular": "site", "kind": "Site"}
        spec = {
            "group": self.group,
            "scope": "Namespaced",
            "names": names,
            "versions": versions,
            "conversion": conversion,
        }
        return {"metadata": {"name": self.name}, "spec": spec}

    def path(self, version: str, name: str = "") -> str:
        return f"/apis/{self.group}/{version}/namespaces/default/sites{'/' if name else ''}{name}"

    def define(self, stored: str = "v1") -> None:
        assert self.client.send("POST", DEFINITIONS, self.definition(stored)).code == 201
        end = time.monotonic() + 20
        while self.client.send("GET", self.path("v2")).code != 200:
            assert time.monotonic() < end, "the definition is not served"
            time.sleep(0.02)

    def store(self, version: str) -> None:
        """From now on in another version."""
        reply = self.client.send("GET", f"{DEFINITIONS}/{self.name}")
        changed = {**reply.body, "spec": self.definition(version)["spec"]}
        assert self.client.send("PUT", f"{DEFINITIONS}/{self.name}", changed).code == 200

    def create(self, version: str, name: str, **fields: Any) -> Any:
        body = {"apiVersion": f"{self.group}/{version}", "kind": "Site", "metadata": {"name": name}, **fields}
        return self.client.send("POST", self.path(version), body)

    def asked(self) -> list[int]:
        """How many objects each review had."""
        return [len(request["objects"]) for _, request in self.operator.asked]


@pytest.fixture
def world(server: ApiServer, operator: Operator) -> Iterator[World]:
    client = Recorder(server)
    operator.convert = answer
    made = World(client, operator)
    yield made
    operator.convert = answer
    assert client.send("DELETE", f"{DEFINITIONS}/{made.name}").code == 200
    operator.asked.clear()
    client.close()


def test_an_object_is_read_and_written_in_every_version(world: World) -> None:
    world.define()
    assert world.create("v1", "one", hostPort="h:8080").code == 201
    assert world.operator.asked == [], "what is stored as it is needs no webhook"
    body = world.client.send("GET", world.path("v2", "one")).body
    assert (body["apiVersion"], body["host"], body["port"]) == (f"{world.group}/v2", "h", "8080")
    assert "hostPort" not in body
    two = world.create("v2", "two", host="i")
    assert (two.code, two.body["port"]) == (201, "80"), "the version that is sent fills in its defaults"
    assert world.client.send("GET", world.path("v1", "two")).body["hostPort"] == "i:80"
    reply = world.client.send("PUT", world.path("v2", "one"), {**body, "port": "9090"})
    assert (reply.code, reply.body["port"]) == (200, "9090")
    reply = world.client.send("PATCH", world.path("v2", "one"), {"host": "k"}, content_type=MERGE)
    assert reply.body["host"] == "k"
    assert world.client.send("GET", world.path("v1", "one")).body["hostPort"] == "k:9090"
    reply = world.client.send(
        "PATCH", world.path("v2", "one") + "/status", {"status": {"ok": True}, "host": "x"}, content_type=MERGE
    )
    assert (reply.body["status"], reply.body["host"]) == ({"ok": True}, "k")
    assert world.client.send("DELETE", world.path("v2", "one")).code == 200


def test_a_list_of_objects_of_both_versions_is_asked_about_at_once(world: World) -> None:
    world.define()
    world.create("v1", "old", hostPort="a:1")
    world.create("v1", "older", hostPort="b:2")
    world.store("v2")
    world.create("v1", "new", hostPort="c:3")
    world.operator.asked.clear()
    second = world.client.send("GET", world.path("v2")).body["items"]
    assert [(each["apiVersion"][-2:], each["host"], each["port"]) for each in second] == [
        ("v2", "c", "3"),
        ("v2", "a", "1"),
        ("v2", "b", "2"),
    ]
    assert world.asked() == [2], "only those that were stored in the other version"
    first = world.client.send("GET", world.path("v1")).body["items"]
    assert [each["hostPort"] for each in first] == ["c:3", "a:1", "b:2"]
    versions = world.client.send("GET", f"{DEFINITIONS}/{world.name}").body["status"]["storedVersions"]
    assert versions == ["v1", "v2"]
    told = len(world.operator.asked)
    world.client.send("GET", world.path("v2"))
    assert len(world.operator.asked) == told, "what is known is not asked again"


@contextmanager
def watching(server: ApiServer, path: str) -> Iterator[Iterator[Object]]:
    where = urlsplit(server.url)
    connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=server.ssl(), timeout=20)
    connection.request("GET", path)
    with closing(connection), closing(connection.getresponse()) as answer:
        yield (orjson.loads(line) for line in iter(answer.readline, b""))


def test_a_watch_shows_its_own_version_and_no_bookmark_overtakes_it(world: World, server: ApiServer) -> None:
    world.define()
    world.create("v1", "before", hostPort="a:1")
    with watching(server, world.path("v2") + "?watch=1&allowWatchBookmarks=true&timeoutSeconds=2") as events:
        begun = next(events)
        assert (begun["type"], begun["object"]["host"]) == ("ADDED", "a")
        for number in range(3):
            world.create("v1", f"later-{number}", hostPort=f"b:{number}")
        deleted = world.client.send("DELETE", world.path("v1", "before"))
        assert deleted.code == 200
        seen = [next(events) for _ in range(4)]
        assert [each["object"].get("port") for each in seen] == ["0", "1", "2", "1"]
        assert seen[-1]["type"] == "DELETED"
        last = next(events)
        assert last["type"] == "BOOKMARK"
        revisions = [int(each["object"]["metadata"]["resourceVersion"]) for each in (*seen, last)]
        assert revisions == sorted(revisions)


def test_a_watch_goes_on_from_a_list_and_ends_when_nothing_can_be_converted(world: World, server: ApiServer) -> None:
    world.define()
    revision = world.client.send("GET", world.path("v2")).body["metadata"]["resourceVersion"]
    world.create("v1", "one", hostPort="a:1")
    with watching(server, f"{world.path('v2')}?watch=1&resourceVersion={revision}") as events:
        assert next(events)["object"]["host"] == "a"
        world.operator.convert = lambda request: 500
        world.create("v1", "two", hostPort="a:2")
        assert list(events) == []
    assert world.client.send("GET", f"{world.path('v2')}?watch=1").code == 500


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            lambda request: 500,
            'failed: an error on the server ("out of order") has prevented the request from succeeding',
        ),
        (lambda request: 404, "failed: the server could not find the requested resource"),
        (lambda request: answer(request, result={"message": "no such port"}), "failed: no such port"),
        (lambda request: answer(request, result={}), "failed: response.result.status was '', not 'Success'"),
        (lambda request: answer(request, convertedObjects=[]), "returned 0 objects, expected 1"),
        (lambda request: {**answer(request), "response": None}, "failed: no response provided"),
        (
            lambda request: {**answer(request), "kind": "AdmissionReview"},
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
            "got apiextensions.k8s.io/v1, Kind=AdmissionReview",
        ),
        (
            lambda request: answer(request, convertedObjects=request["objects"]),
            "returned invalid object at index 0: invalid groupVersion (expected GROUP/v2, received GROUP/v1)",
        ),
        (
            lambda request: _renamed(request, "other"),
            "returned invalid object: must have the same name: one != other",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_conversion_fails_the_request(world: World, wrong: Any, words: str) -> None:
    world.define()
    world.create("v1", "one", hostPort="h:1")
    world.operator.convert = wrong
    reply = world.client.send("GET", world.path("v2", "one"))
    message = f"conversion webhook for {world.group}/v1, Kind=Site {words.replace('GROUP', world.group)}"
    assert (reply.code, reply.body["message"]) == (500, message)
    assert "reason" not in reply.body
    assert world.client.send("GET", world.path("v2")).code == 500
    assert world.create("v2", "two", host="h").code == 500
    assert world.client.send("GET", world.path("v1", "one")).code == 200, "its own version needs nobody"


def _renamed(request: Object, name: str) -> Object:
    made = answer(request)
    made["response"]["convertedObjects"][0]["metadata"]["name"] = name
    return made


def test_of_the_metadata_only_labels_and_annotations_change(world: World) -> None:
    def convert(request: Object) -> Object:
        made = answer(request)
        for each in made["response"]["convertedObjects"]:
            each["metadata"] |= {"labels": {"made": "here"}, "finalizers": ["example.com/mine"], "generation": 7}
        return made

    world.define()
    world.create("v1", "one", hostPort="h:1")
    world.operator.convert = convert
    metadata = world.client.send("GET", world.path("v2", "one")).body["metadata"]
    assert (metadata["labels"], metadata["generation"]) == ({"made": "here"}, 1)
    assert "finalizers" not in metadata


def test_a_webhook_behind_a_service_that_is_not_there_is_told(world: World) -> None:
    wanted = world.definition("v1")
    service = {"namespace": "default", "name": "nowhere", "path": "/convert"}
    wanted["spec"]["conversion"]["webhook"]["clientConfig"] = {"service": service}
    assert world.client.send("POST", DEFINITIONS, wanted).code == 201
    end = time.monotonic() + 20
    while (reply := world.create("v2", "one", host="h")).code == 404:
        assert time.monotonic() < end, "the definition is not served"
        time.sleep(0.02)
    where = "https://nowhere.default.svc:443/convert?timeout=30s"
    words = f'conversion webhook for {world.group}/v2, Kind=Site failed: Post "{where}": service "nowhere" not found'
    assert (reply.code, reply.body["message"]) == (500, words)


def test_an_admission_webhook_sees_the_version_it_asks_for(world: World) -> None:
    world.define()
    rule = {"operations": ["CREATE"], "apiGroups": [world.group], "apiVersions": ["v2"], "resources": ["sites"]}
    operation = {"op": "replace", "path": "/port", "value": "443"}
    patch = base64.b64encode(orjson.dumps([operation])).decode()
    world.operator.answers["/admit"] = {"patchType": "JSONPatch", "patch": patch}
    hook = {
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [rule],
        "clientConfig": world.operator.client("/admit"),
    }  # fmt: skip
    hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    assert world.client.send("POST", hooks, {"metadata": {"name": "a"}, "webhooks": [hook]}).code == 201
    try:
        assert world.create("v1", "one", hostPort="h:80").body["hostPort"] == "h:443"
    finally:
        world.client.send("DELETE", f"{hooks}/a")
        world.operator.answers.clear()
    seen = [request["object"]["host"] for path, request in world.operator.asked if path == "/admit"]
    assert seen == ["h"]


def test_a_long_list_is_asked_about_in_parts(world: World) -> None:
    world.define()
    for number in range(4):
        assert world.create("v1", f"large-{number}", hostPort=f"{'x' * 400_000}:{number}").code == 201
    found = world.client.send("GET", world.path("v2")).body["items"]
    assert [each["port"] for each in found] == ["0", "1", "2", "3"]
    assert world.asked() == [2, 2]
