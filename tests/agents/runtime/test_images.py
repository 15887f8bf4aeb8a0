"""Host images in real containers: the test server in all runtimes, the rest where its programs are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from panal import tools
from panal.agents.images import added
from panal.agents.images.catalog import HOST_IMAGES
from panal.agents.images.hostimage import HostImage
from panal.agents.images.resolve import missing
from panal.agents.runtime.contract import ImageMissing, Mount

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
    import socket

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


SERVERS: dict[str, tuple[int, dict[str, str], str]] = {
    "httpd": (80, {}, "resuming normal operations"),
    "php:8.2-apache": (80, {}, "resuming normal operations"),
    "php:8.2-fpm": (9000, {}, "ready to handle connections"),
    "caddy": (80, {}, "serving initial configuration"),
    "traefik": (8080, {"TRAEFIK_API_INSECURE": "true"}, ""),
    "redis": (6379, {}, "Ready to accept connections"),
    "memcached": (11211, {}, ""),
    "postgres": (5432, {"POSTGRES_PASSWORD": "secret", "POSTGRES_DB": "shop"}, "ready to accept connections"),
    "mariadb": (3306, {"MARIADB_ROOT_PASSWORD": "secret"}, "ready for connections"),
    "mysql": (3306, {"MYSQL_ALLOW_EMPTY_PASSWORD": "1", "MYSQL_DATABASE": "shop"}, "ready for connections"),
    "wordpress": (80, {"WORDPRESS_DB_HOST": "db"}, "resuming normal operations"),
}
"""Port, environment, and what the server says when it can be told to end."""


@pytest.mark.skipif(not os.environ.get("PANAL_TEST_REAL"), reason="PANAL_TEST_REAL=1 starts the real servers")
@pytest.mark.parametrize("image", SERVERS)
async def test_a_real_server_listens_and_ends_when_told(node: Node, image: str) -> None:
    if not node.namespaces:
        pytest.skip("these need a root file system of their own")
    if (lacking := lacks(image)) is not None:
        pytest.skip(f"this machine has no {lacking}")
    port, env, words = SERVERS[image]
    pod = await node.pod("server")
    container = await node.run(image=image, sandbox=pod, env=env)
    for _ in range(600):
        try:
            os.close(await node.runtime.connect(pod.id, port))
            break
        except Exception:
            assert (await node.container(container)).exit_code is None, node.output(container)
            await asyncio.sleep(0.05)
    else:
        raise AssertionError(node.output(container))
    await node.said(container, words)
    await node.runtime.stop(container, 20)
    assert (await node.container(container)).exit_code == 0, node.output(container)


def lacks(image: str) -> str | None:
    name, _, tag = image.partition(":")
    import re

    host: HostImage = next(host for host in HOST_IMAGES if name in host.names and re.search(host.tags, tag))
    return missing(host, lambda program: tools.which(program, os.environ))


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
