"""Host images in real containers: the test server in all runtimes, the rest where its programs are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from panal import tools
from panal.agents.images import added
from panal.agents.images.hostimage import HostImage
from panal.agents.images.resolve import host_image, missing
from panal.agents.runtime.contract import ImageMissing, Mount, RuntimeFailure

from .conftest import Node


async def page(node: Node, sandbox: str, port: int, path: str) -> tuple[int, str]:
    """GET from the pod's own localhost, as soon as it answers."""
    for _ in range(200):
        try:
            number = await node.runtime.connect(sandbox, port)
            break
        except Exception:
            await asyncio.sleep(0.03)
    else:
        raise AssertionError(f"nothing listens on port {port}")
    with socket.socket(fileno=number) as connection:
        reader, writer = await asyncio.open_connection(sock=connection)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: pod\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_test_server_answers_as_agnhost_does(node: Node) -> None:
    pod = await node.pod("agn")
    port = 18080 + os.getpid() % 1000
    container = await node.run(
        image="registry.k8s.io/e2e-test-images/agnhost:2.53",
        sandbox=pod,
        args=["netexec", f"--http-port={port}", "--udp-port", "-1"],
    )
    assert await page(node, pod.id, port, "/echo?msg=hola&code=418") == (418, "hola")
    assert (await page(node, pod.id, port, "/hostname"))[0] == 200
    assert (await page(node, pod.id, port, "/redirect?location=/echo&code=307"))[0] == 307
    assert json.loads((await page(node, pod.id, port, "/shell?cmd=echo%20a;exit%203"))[1]) == {
        "output": "a\n",
        "error": "exit status 3",
    }
    dialled = await page(node, pod.id, port, f"/dial?host={pod.ip}&port={port}&request=echo?msg=x&tries=2")
    if node.namespaces:
        assert json.loads(dialled[1]) == {"responses": ["x", "x"]}
    result = await node.runtime.exec(container, ["/agnhost", "connect", "127.0.0.1:1"]) if node.namespaces else None
    assert result is None or (result.exit_code, result.stderr) == (1, b"REFUSED\n")
    await page_that_ends(node, pod.id, port, "/exit?code=7&wait=10ms")
    assert (await node.ended(container)).exit_code == 7


async def page_that_ends(node: Node, sandbox: str, port: int, path: str) -> None:
    try:
        await page(node, sandbox, port, path)
    except (IndexError, ConnectionError):
        return


async def test_pause_is_what_the_test_server_does_unasked(node: Node) -> None:
    container = await node.run(image="agnhost")
    await node.said(container, "Paused")
    await node.runtime.stop(container, 10)
    assert (await node.container(container)).exit_code == 0


async def test_arguments_are_given_to_the_entrypoint_as_kubernetes_does(node: Node) -> None:
    container = await node.run(image="agnhost", args=["entrypoint-tester", "a", "b c"])
    assert (await node.ended(container)).exit_code == 0
    assert node.output(container) == "[/agnhost entrypoint-tester a b c]"


async def test_a_memory_hog_takes_what_it_was_told(node: Node) -> None:
    container = await node.run(image="agnhost", args=["stress", "--mem-total", "30Mi", "--mem-alloc-size", "5Mi"])
    await node.said(container, "Allocated 31457280 bytes")
    assert (await node.runtime.usage(container)).memory_bytes > 30 << 20


@dataclass(frozen=True)
class Server:
    """What is said to it, what it must answer, and what stands in its log by then."""

    port: int
    say: bytes
    hear: bytes
    log: str = ""
    env: dict[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


GET = b"GET / HTTP/1.0\r\nHost: pod\r\n\r\n"


def fastcgi(**variables: str) -> bytes:
    """A request to a responder, without a body."""
    pairs = ((name.encode(), value.encode()) for name, value in variables.items())
    words = b"".join(bytes([len(name), len(value)]) + name + value for name, value in pairs)
    records = ((1, b"\0\1" + b"\0" * 6), (4, words), (4, b""), (5, b""))
    return b"".join(struct.pack(">BBHHBB", 1, kind, 1, len(body), 0, 0) + body for kind, body in records)


NO_SCRIPT = fastcgi(SCRIPT_FILENAME="/var/www/html/not-there.php", REQUEST_METHOD="GET")
HAPROXY = """\
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend web
    bind :8080
    http-request return status 200 content-type text/plain string hola
"""
NODE = (
    "process.on('SIGTERM', () => process.exit(0)); require('http').createServer((q, r) => r.end('hola')).listen(8080)"
)

SERVERS = {
    "httpd": Server(80, GET, b"It works!", "resuming normal operations"),
    "php:8.2-apache": Server(80, GET, b"Server: Apache", "resuming normal operations"),
    "php:8.2-fpm": Server(9000, NO_SCRIPT, b"File not found.", "ready to handle connections"),
    "caddy": Server(80, GET, b"Caddy works!", "serving initial configuration"),
    "nginx": Server(80, GET, b"Welcome to nginx!"),
    "haproxy": Server(8080, GET, b"hola", files={"/usr/local/etc/haproxy/haproxy.cfg": HAPROXY}),
    "node": Server(8080, GET, b"hola", args=("-e", NODE)),
    "traefik": Server(8080, b"GET /api/version HTTP/1.0\r\n\r\n", b'"Version"', env={"TRAEFIK_API_INSECURE": "true"}),
    "redis": Server(6379, b"PING\r\n", b"+PONG\r\n", "Ready to accept connections"),
    "memcached": Server(11211, b"version\r\n", b"VERSION "),
    "postgres": Server(
        5432,
        b"\0\0\0\x08\x04\xd2\x16\x2f",  # may this be TLS?
        b"N",
        "ready to accept connections",
        {"POSTGRES_PASSWORD": "secret", "POSTGRES_DB": "shop"},
    ),
    "mariadb": Server(
        3306, b"", b"mysql_native_password", "ready for connections", {"MARIADB_ROOT_PASSWORD": "secret"}
    ),
    "mysql": Server(
        3306,
        b"",
        b"mysql_native_password",
        "ready for connections",
        {"MYSQL_ALLOW_EMPTY_PASSWORD": "1", "MYSQL_DATABASE": "shop"},
    ),
    "wordpress": Server(80, GET, b"Server: Apache", "resuming normal operations", {"WORDPRESS_DB_HOST": "db"}),
}


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_REAL"), reason="PANAL_TEST_REAL=1 starts the real servers")
@pytest.mark.parametrize("image", SERVERS)
async def test_a_real_server_answers_and_ends_when_told(node: Node, image: str, tmp_path: Path) -> None:
    if not node.namespaces:
        pytest.skip("these need a root file system of their own")
    if (lacking := lacks(image)) is not None:
        pytest.skip(f"this machine has no {lacking}")
    server = SERVERS[image]
    pod = await node.pod("server")
    mounts = []
    for number, (path, text) in enumerate(server.files.items()):
        (file := tmp_path / str(number)).write_text(text)
        mounts.append(Mount(path, str(file), readonly=True))
    container = await node.run(
        image=image, sandbox=pod, env=server.env, mounts=tuple(mounts), args=list(server.args) or None
    )
    async with asyncio.timeout(60):
        while True:
            assert (await node.container(container)).exit_code is None, node.output(container)
            with contextlib.suppress(RuntimeFailure, OSError):
                if server.hear in await answer(await node.runtime.connect(pod.id, server.port), server.say):
                    break
            await asyncio.sleep(0.05)
    await node.said(container, server.log)
    async with asyncio.timeout(20):
        while not await catches(node, container, image):  # HAProxy's master starts itself anew when its worker serves
            await asyncio.sleep(0.05)
    await node.runtime.stop(container, 20)
    assert (await node.container(container)).exit_code == 0, node.output(container)


async def catches(node: Node, container: str, image: str) -> bool:
    """Whether the program is ready to be told to end."""
    found = await node.runtime.exec(container, ["grep", "SigCgt", "/proc/1/status"])
    return bool(int(found.stdout.split()[1], 16) >> (int(host_of(image).stop_signal) - 1) & 1)


async def answer(connection: int, say: bytes) -> bytes:
    """What comes within a moment, or until the other side closes."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=connection))
    writer.write(say)
    heard = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while more := await reader.read(65536):
                heard += more
                if len(heard) > 1 << 16:
                    break
    writer.close()
    return heard


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_REAL"), reason="PANAL_TEST_REAL=1 starts the real programs")
async def test_curl_asks_what_another_container_of_the_pod_serves(node: Node) -> None:
    pod, port = await node.pod("asked"), 18080 + os.getpid() % 1000
    await node.run(image="agnhost", sandbox=pod, args=["netexec", f"--http-port={port}", "--udp-port", "-1"])
    assert (await page(node, pod.id, port, "/echo?msg=hola"))[0] == 200
    where = f"http://{pod.ip}:{port}/echo?msg=hola"
    for image in ("curl", "curlimages/curl:8.10.1"):
        container = await node.run(image=image, sandbox=pod, args=["-sS", "--max-time", "10", where])
        assert (await node.ended(container)).exit_code == 0, node.output(container)
        assert node.output(container) == "hola"


def lacks(image: str) -> str | None:
    return missing(host_of(image), lambda program: tools.which(program, os.environ))


def host_of(image: str) -> HostImage:
    name, _, tag = image.partition(":")
    host = host_image(name, tag)
    assert host is not None
    return host


def small_rootfs(place: Path) -> None:
    """A shell, cat and touch with their libraries, a link as Debian has it, and a file."""
    import re
    import subprocess

    for program in ("sh", "cat", "touch"):
        found = os.path.realpath(shutil.which(program) or "")
        libraries = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        for path in (found, *re.findall(r"(/\S+) \(0x", libraries)):
            target = place / "bin" / program if path == found else place / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (place / "var" / "lib").mkdir(parents=True)
    (place / "var" / "run").symlink_to("/run")
    (place / "etc").mkdir()
    (place / "etc" / "motto").write_text("mine\n")
    (place / "hello").write_text("hello\n")
    place.chmod(0o755)


async def test_a_root_file_system_of_the_users_own_is_shared_copy_on_write(node: Node, tmp_path: Path) -> None:
    if not node.namespaces:
        pytest.skip("needs namespaces")
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    small_rootfs(rootfs)
    secret = tmp_path / "token"
    secret.write_text("t0ken\n")
    images = node.paths.root.parent.parent / "images"
    added.add(images, "shop", str(rootfs), entrypoint=("/bin/sh", "-c"), cmd=("cat /etc/motto /hello",), env={"A": "b"})
    first = await node.run(image="shop")
    assert (await node.ended(first)).exit_code == 0, node.output(first)
    assert node.output(first) == "mine\nhello"
    words = "cat /var/run/token /run/token; echo $A > /etc/motto; touch /var/lib/x; cat /etc/motto; cat /etc/passwd"
    mount = Mount("/var/run/token", str(secret), readonly=True)
    second = await node.run(image="shop", args=[words], mounts=[mount])
    assert (await node.ended(second)).exit_code == 1
    assert node.output(second).splitlines()[:3] == ["t0ken", "t0ken", "b"]
    assert (rootfs / "etc" / "motto").read_text() == "mine\n"
    assert not (rootfs / "var" / "lib" / "x").exists()
    added.remove(images, "shop")
    with pytest.raises(ImageMissing):
        await node.runtime.pull("shop")
