"""A server with too much to do says so, and keeps nothing for who does not read."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from ..controlplane.apiserver.http.conftest import ApiServer, make
from .conftest import MERGE, Api, Target

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def own(tmp_path: Path, target: Target) -> ApiServer:
    if target.own is None:
        pytest.skip("needs a server with arguments of its own")
    return make(tmp_path)


@asynccontextmanager
async def running(server: ApiServer, *users: tuple[str, str]) -> AsyncIterator[list[Api]]:
    """The server, seen by these users (name, group); it ends with the block."""
    server.start()
    try:
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            yield [Api(server.url, session, server.ssl(name, group)) for name, group in users]
        await asyncio.sleep(0.01)
    finally:
        server.stop()


async def opened(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of its own to the server."""
    where = urlsplit(api.server)
    context: ssl.SSLContext = api.context
    return await asyncio.open_connection(where.hostname, where.port, ssl=context, limit=2**16)


async def grant(admin: Api, user: str) -> None:
    body = {
        "metadata": {"name": f"all-{user}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    (await admin.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)).ok()


async def test_who_finds_no_place_is_told_to_come_again(own: ApiServer) -> None:
    own.arguments = ["--max-mutating-requests-inflight=1"]
    async with running(own, ("admin", "system:masters"), ("jane", "devs")) as (admin, jane):
        await grant(admin, "jane")
        reader, writer = await opened(jane)
        head = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{{"
        writer.write(head.encode())
        async with asyncio.timeout(20):
            while 'inflight_requests{request_kind="mutating"} 1' not in (await admin.get("/metrics")).body:
                await asyncio.sleep(0.01)
        refused = await jane.create(MAPS, {"metadata": {"name": "a"}})
        assert (refused.status, refused.raw) == (429, b"Too many requests, please try again later.\n")
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert (await jane.get(MAPS)).status == 200
        async with jane.watch(f"{MAPS}?timeoutSeconds=1") as events:
            assert events.answer.status == 200
        assert (await admin.create(MAPS, {"metadata": {"name": "a"}})).status == 201
        writer.write(b'"metadata":{"name":"b"}     }')
        assert b"201 Created" in await reader.readline()
        writer.close()
        assert (await jane.create(MAPS, {"metadata": {"name": "c"}})).status == 201
        told = (await admin.get("/metrics")).body
    assert 'apiserver_request_terminations_total{verb="POST",dry_run="",group="",version="v1"' in told


async def test_an_answer_tells_its_flow(api: Api, target: Target) -> None:
    flows = "/apis/flowcontrol.apiserver.k8s.io/v1"
    schema, level = "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid"
    schemas, levels = [
        {item["metadata"]["uid"]: item["metadata"]["name"] for item in (await api.get(f"{flows}/{each}")).body["items"]}
        for each in ("flowschemas", "prioritylevelconfigurations")
    ]
    answer = (await api.get(MAPS)).ok()
    assert answer.headers[schema] in schemas
    assert answer.headers[level] in levels
    refused = await api.get(MAPS, **{"Impersonate-User": "jane"})
    assert (refused.status, schemas[refused.headers[schema]]) == (403, "global-default")
    async with api.watch(f"{MAPS}?timeoutSeconds=1") as events:
        assert events.answer.headers[schema] == answer.headers[schema]


async def test_a_watcher_that_does_not_read_is_dropped_and_the_others_see_everything(own: ApiServer) -> None:
    async with running(own, ("admin", "system:masters")) as (admin,):
        await admin.create(MAPS, {"metadata": {"name": "a"}})
        reader, writer = await opened(admin)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET {MAPS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with admin.watch(f"{MAPS}?resourceVersion={(await admin.get(MAPS)).revision}") as events:
            for number in range(60):
                body = {"data": {"n": str(number), "x": "x" * 400_000}}
                (await admin.patch(f"{MAPS}/a", body, MERGE)).ok()
                line = await asyncio.wait_for(_line(events.answer), 20)
                assert f'"n":"{number}"'.encode() in line
            async with asyncio.timeout(20):
                while 'longrunning_requests{verb="WATCH"' in (told := (await admin.get("/metrics")).body):
                    lines = [line for line in told.splitlines() if line.startswith("apiserver_longrunning_requests{")]
                    if [int(line.rpartition(" ")[2]) for line in lines if 'verb="WATCH"' in line] == [1]:
                        break
                    await asyncio.sleep(0.05)
        writer.transport.abort()


async def _line(answer: aiohttp.ClientResponse) -> bytes:
    parts = []
    while not parts or not parts[-1].endswith(b"\n"):
        parts.append(await answer.content.readany())
    return b"".join(parts)


async def test_a_watch_begins_with_more_than_may_wait(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for number in range(12):
        (await api.create(path, {"metadata": {"name": f"c{number}"}, "data": {"x": "x" * 900_000}})).ok()
    seen = 0
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
    async with api.session.get(f"{api.server}{path}?{query}", ssl=api.context) as answer:
        async for chunk in answer.content.iter_any():
            seen += chunk.count(b'"type":"ADDED"')
    assert seen >= 12


async def test_selectors_and_headers_may_be_long(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    values = ",".join(f"v{number}" for number in range(9000))
    assert (await api.get(f"{path}?labelSelector=a+in+({values})")).status == 200
    assert (await api.get(path, X_Anything="a" * 60_000)).status == 200


async def test_what_is_no_request_gets_a_status(own: ApiServer) -> None:
    async with running(own, ("admin", "system:masters")) as (admin,):
        assert (await admin("BREW", MAPS)).reason == "MethodNotAllowed"
        too_long = await admin.get(MAPS, X_Anything="a" * 300_000)
        assert (too_long.status, too_long.body["kind"]) == (431, "Status")
        for junk in (b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            reader, writer = await opened(admin)
            writer.write(junk)
            assert re.match(rb"HTTP/1\.[01] 4\d\d ", await asyncio.wait_for(reader.readline(), 10))
            writer.close()


async def test_a_body_of_more_than_three_mebibytes_is_too_large(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = b'{"metadata":{"name":"a"},"data":{"x":"' + b"x" * 3 * 2**20 + b'"}}'
    for answer in (
        await api.create(path, body),
        await api("PUT", f"{path}/a", body),
        await api.patch(f"{path}/a", body),
    ):
        assert (answer.status, answer.reason) == (413, "RequestEntityTooLarge")
        assert answer.message == "Request entity too large: limit is 3145728"


@pytest.mark.parametrize("path", ["healthz", "livez", "readyz"])
async def test_health_is_made_of_named_checks(api: Api, path: str) -> None:
    assert (await api.get(f"/{path}")).body == "ok"
    verbose = (await api.get(f"/{path}?verbose")).body
    assert verbose.startswith("[+]ping ok\n")
    assert "[+]etcd ok\n" in verbose
    assert verbose.endswith(f"{path} check passed\n")
    without = (await api.get(f"/{path}?verbose&exclude=etcd&exclude=nonsense")).body
    assert "[+]etcd excluded: ok\n" in without
    assert 'warn: some health checks cannot be excluded: no matches for "nonsense"\n' in without
    assert (await api.get(f"/{path}/etcd")).body == "ok"
    assert (await api.get(f"/{path}/nonsense")).status == 404


async def test_metrics_have_the_usual_names(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await api.create(path, {"metadata": {"name": "a"}})
    await api.get(path)
    answer = (await api.get("/metrics")).ok()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = {line.split()[2] for line in answer.body.splitlines() if line.startswith("# TYPE")}
    assert names >= {
        "apiserver_request_total", "apiserver_request_duration_seconds", "apiserver_response_sizes",
        "apiserver_longrunning_requests", "apiserver_current_inflight_requests", "apiserver_resource_objects",
        "apiserver_storage_size_bytes", "process_cpu_seconds_total", "process_resident_memory_bytes",
        "kubernetes_build_info",
    }  # fmt: skip
    counted = [line for line in answer.body.splitlines() if line.startswith("apiserver_request_total{")]
    assert any('verb="POST"' in line and 'resource="configmaps"' in line and 'code="201"' in line for line in counted)


async def test_the_index_names_every_path(api: Api) -> None:
    paths = (await api.get("/")).ok().body["paths"]
    assert {"/api/v1", "/apis/apps/v1", "/healthz/etcd", "/livez", "/readyz", "/metrics", "/version"} <= set(paths)


@pytest.mark.parametrize("upgrade", ["", "websocket", "SPDY/3.1", "bogus"])
@pytest.mark.parametrize("stream", ["exec?command=a", "exec", "attach", "portforward", "exec?command=a&container=z"])
async def test_an_upgrade_that_cannot_be_made_gets_a_status(
    api: Api, namespace: str, upgrade: str, stream: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"nodeName": "not-there", "containers": [{"name": "c", "image": "i"}]}
    (await api.create(path, {"metadata": {"name": "p"}, "spec": spec})).ok()
    headers = {"Connection": "Upgrade", "Upgrade": upgrade} if upgrade else {}
    for method in ("GET", "POST"):
        answer = await api(method, f"{path}/p/{stream}", **headers)
        assert 400 <= answer.status < 500, answer.message
        assert answer.body["kind"] == "Status"
    assert (await api.get(path)).status == 200
