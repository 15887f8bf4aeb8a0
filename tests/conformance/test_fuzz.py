"""Random bodies, patches, selectors: whatever is sent, the answer is a success, or a Status that blames the client."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer, Api
from .test_writes import deployment, deployments

ROUNDS = 40 if os.environ.get("PANAL_TEST_ALL") else 3
"""Bodies of each sort and kind."""
EXAMPLES = 400 if os.environ.get("PANAL_TEST_ALL") else 40

REFERENCE = "#/components/schemas/"
STRINGS = (
    "", "a", "a-b", "A B", "x" * 300, "0", "10Mi", "-1", "80%", "http", "TCP", "IPv4", "10.96.0.9", "::1", "/a",
    "../..", "2026-01-01T00:00:00Z", "YWJj", "\u0000", "é\U0001f41d", "v1", "Pod", "true", "a.example/b", "*",
    "metadata.name", "$(X)", "{", "%s", "a=b", "1e9999", "99999999999999999999",
)  # fmt: skip
NUMBERS = (0, 1, -1, 80, 65536, 2**31, -(2**31) - 1, 2**63, 1e300, 0.5)
ANYTHING: tuple[Any, ...] = (None, True, [], {}, [None], {"": None}, [[]], *STRINGS[:8], *NUMBERS)


class Bodies:
    """Random objects of the kinds that an OpenAPI document describes. `wild`: how often a value has any other type."""

    def __init__(self, schemas: Mapping[str, Any], rng: random.Random, wild: float) -> None:
        self._schemas, self._rng, self._wild = schemas, rng, wild

    def of(self, schema: Mapping[str, Any], depth: int = 0, name: str = "") -> Any:
        if self._rng.random() < self._wild:
            return self._rng.choice(ANYTHING)
        for part in schema.get("allOf", ()):
            schema = {**schema, **part}
        if reference := schema.get("$ref"):
            schema = self._schemas[reference.removeprefix(REFERENCE)]
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices and "properties" not in schema:
            return self.of(self._rng.choice(choices), depth, name)
        match schema.get("type"):
            case "string":
                return self._string(schema, name)
            case "integer" | "number":
                return self._rng.choice(NUMBERS[:6])
            case "boolean":
                return self._rng.random() < 0.5
            case "array":
                return [self.of(schema.get("items", {}), depth + 1) for _ in range(self._rng.choice((0, 1, 1, 2, 3)))]
        if "properties" in schema:
            return self._struct(schema, depth)
        if isinstance(inner := schema.get("additionalProperties"), dict):
            return {self._rng.choice(STRINGS): self.of(inner, depth + 1) for _ in range(self._rng.randrange(3))}
        return self._rng.choice(ANYTHING)

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        """Mostly one that can be read, so that what comes after reading is reached."""
        if self._rng.random() < 0.1:
            return self._rng.choice(STRINGS)
        known = {"date-time": ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"), "byte": ("YWJj", "")}
        return str(self._rng.choice(known.get(schema.get("format", "")) or schema.get("enum") or STRINGS))

    def _struct(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        likely = 0.6 if depth < 2 else 0.3 if depth < 5 else 0.05
        names = [each for each in schema["properties"] if each in required or self._rng.random() < likely]
        made = {each: self.of(schema["properties"][each], depth + 1, each) for each in names}
        if self._rng.random() < self._wild:
            made[self._rng.choice(STRINGS)] = self._rng.choice(ANYTHING)
        return made


def judge(answer: Answer, sent: object) -> None:
    """A success, or a Status that blames the client."""
    shown = (answer.status, answer.message[:500], sent)
    assert answer.status < 500, shown
    if answer.status >= 400:
        assert answer.body["kind"] == "Status", shown
        assert answer.body["code"] == answer.status, shown
        assert answer.message, shown


async def collections(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    """Every place where a built-in kind is created: (group and version, path, kind's group, version and kind)."""
    found = []
    index = (await api.get("/openapi/v3")).ok().body["paths"]
    for group_version, where in index.items():
        if "/" not in group_version:
            continue
        document = (await api.get(where["serverRelativeURL"])).ok().body
        for path, item in document.get("paths", {}).items():
            if "post" in item and "{name}" not in path:
                found.append((group_version, path, item["post"]["x-kubernetes-group-version-kind"]))
    return found


@pytest.mark.timeout(280)
@pytest.mark.parametrize("wild", [0.0, 0.05, 0.5], ids=["valid", "odd", "wild"])
async def test_no_body_breaks_the_server(api: Api, namespace: str, wild: float) -> None:
    rng = random.Random(f"bodies {wild}")
    documents: dict[str, Any] = {}
    index = (await api.get("/openapi/v3")).ok().body["paths"]
    asked = 0
    for group_version, path, gvk in await collections(api):
        if group_version not in documents:
            documents[group_version] = (await api.get(index[group_version]["serverRelativeURL"])).ok().body
        schemas = documents[group_version]["components"]["schemas"]
        schema = next(
            (each for each in schemas.values() if gvk in each.get("x-kubernetes-group-version-kind", ())), None
        )
        if schema is None:
            continue
        bodies = Bodies(schemas, rng, wild)
        where = path.replace("{namespace}", namespace)
        for number in range(ROUNDS):
            body = bodies.of(schema)
            if isinstance(body, dict):
                body = {**body, "kind": gvk["kind"], "apiVersion": f"{gvk['group']}/{gvk['version']}".strip("/")}
                if wild < 0.5 and isinstance(body.get("metadata", {}), dict):
                    body["metadata"] = {**body.get("metadata", {}), "name": f"f{number}", "namespace": namespace}
                    if "{namespace}" not in path:
                        del body["metadata"]["namespace"]
            raw = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
            judge(await api.create(f"{where}?dryRun=All", raw), (where, raw[:3000]))
            judge(await api("PUT", f"{where}/f{number}?dryRun=All", raw), (where, raw[:3000]))
            judge(await api.apply(f"{where}/f{number}?dryRun=All&force=true", raw, "fuzz"), (where, raw[:3000]))
            asked += 3
    assert asked > 40 * ROUNDS


_leaf = st.one_of(st.sampled_from(ANYTHING), st.text(max_size=5), st.integers(-5, 5))
_NAMES = st.sampled_from(
    ["metadata", "spec", "template", "containers", "name", "image", "ports", "containerPort", "labels", "annotations",
     "finalizers", "ownerReferences", "managedFields", "replicas", "selector", "matchLabels", "strategy", "status",
     "conditions", "type", "env", "volumes", "$patch", "$retainKeys", "$setElementOrder/containers",
     "$deleteFromPrimitiveList/finalizers", "resources", "limits", "cpu", "resourceVersion", "uid", "kind", "odd"]
)  # fmt: skip
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_leaf, st.sampled_from(["delete", "replace", "merge", "c", "1"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=4)),
    max_leaves=12,
)
_POINTERS = st.lists(_NAMES | st.sampled_from(["0", "-", "~0", "~1", "~2", "", "99"]), max_size=5).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
_OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "odd"]), "path": _POINTERS},
        optional={"value": _VALUES, "from": _POINTERS},
    ),
    max_size=4,
)
_EASY = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)


@pytest.fixture
async def patched(api: Api, namespace: str) -> str:
    await api.create(deployments(namespace), deployment())
    return deployments(namespace, "/d")


def _run(api: Api, path: str, media: str, body: Any, rest: str) -> Any:
    query = "?dryRun=All&fieldManager=fuzz" + ("&force=true" if media == APPLY else "")
    return api.patch(f"{path}{rest}{query}", body, media)


@pytest.mark.timeout(280)
@pytest.mark.parametrize("media", [MERGE, STRATEGIC, JSON_PATCH, APPLY])
async def test_no_patch_breaks_the_server(api: Api, patched: str, media: str) -> None:
    bodies: list[Any] = []

    @_EASY
    @given(_OPERATIONS if media == JSON_PATCH else _VALUES)
    def gather(body: Any) -> None:
        bodies.append(body)

    gather()
    for number, body in enumerate(bodies):
        if media == APPLY and isinstance(body, dict):
            body = {"apiVersion": "apps/v1", "kind": "Deployment", **body}
        rest = ("", "", "/status", "/scale")[number % 4]
        judge(await _run(api, patched, media, body, rest), (media, rest, body))


_SELECTORS = st.text(alphabet="abcZ019-_./=!<>,() \t\"'\\\0é", max_size=24) | st.builds(
    lambda *parts: " ".join(parts),
    st.sampled_from(["a", "!a", "a.b/c", "", "-", "a" * 64]),
    st.sampled_from(["in", "notin", "=", "==", "!=", ">", "<", "exists", ""]),
    st.sampled_from(["(a,b)", "(", ")", "()", "(,)", "1", "x" * 64, "", "a,b=c"]),
)


async def test_no_selector_breaks_a_list_or_a_watch(api: Api, namespace: str) -> None:
    from urllib.parse import quote

    texts: list[str] = []

    @_EASY
    @given(_SELECTORS)
    def gather(text: str) -> None:
        texts.append(text)

    gather()
    for number, text in enumerate(texts):
        kind = ("labelSelector", "fieldSelector", "continue", "resourceVersion", "limit", "timeoutSeconds")[number % 6]
        path = f"/api/v1/namespaces/{namespace}/pods?{kind}={quote(text)}"
        judge(await api.get(path), path)
        judge(await api.get(f"{path}&watch=1&resourceVersion=1&timeoutSeconds=0&dummy=1".replace(
            "&timeoutSeconds=0", "" if kind == "timeoutSeconds" else "&timeoutSeconds=1") if number % 20 == 0 else path,
        ), path)  # fmt: skip
        judge(await api("DELETE", f"{path}&dryRun=All"), path)


PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize("media", [PROTOBUF, "application/yaml", "application/json", "text/plain", "", "a/b;;c"])
async def test_no_bytes_break_the_server(api: Api, namespace: str, media: str) -> None:
    rng = random.Random(media)
    path = f"/api/v1/namespaces/{namespace}/pods"
    whole = (await api.get("/api/v1/namespaces/default", Accept=PROTOBUF)).ok().raw
    for _ in range(EXAMPLES):
        junk = bytearray(whole if rng.random() < 0.6 else rng.randbytes(rng.randrange(200)))
        for _ in range(rng.randrange(4)):
            if junk:
                junk[rng.randrange(len(junk))] = rng.randrange(256)
        body = bytes(junk[: rng.randrange(len(junk) + 1)]) if rng.random() < 0.5 else bytes(junk)
        judge(await api.create(f"{path}?dryRun=All", body, Content_Type=media), (media, body))
        judge(await api("DELETE", f"{path}/none?dryRun=All", body, Content_Type=media), (media, body))
