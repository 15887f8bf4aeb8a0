"""The applications of Kubernetes' tutorials in real containers, by the images that the tutorials name."""

from __future__ import annotations

import os

import pytest

from panal.agents.runtime.contract import ImageMissing

from .conftest import Node
from .test_images import page

HELLO = "gcr.io/google-samples/hello-app"
BOOTCAMP = "gcr.io/google-samples/kubernetes-bootcamp"

SERVERS = {
    f"{HELLO}:1.0": (8080, [], "Hello, world!\nVersion: 1.0.0\nHostname: "),
    f"{HELLO}:2.0": (8080, [], "Hello, world!\nVersion: 2.0.0\nHostname: "),
    "gcr.io/google-samples/node-hello:1.0": (8080, [], "Hello Kubernetes!"),
    f"{BOOTCAMP}:v1": (8080, [], "Hello Kubernetes bootcamp! | Running on: "),
    "jocatalin/kubernetes-bootcamp:v2": (8080, [], " | v=2\n"),
    "hashicorp/http-echo": (5678, ["-text=hola"], "hola\n"),
    "traefik/whoami:v1.10": (80, [], "GET /path?a=b HTTP/1.1\nHost: pod\n"),
    "registry.k8s.io/echoserver:1.10": (8080, [], "\tclient_address=127."),
    "kicbase/echo-server:1.0": (8080, [], "GET /path?a=b HTTP/1.1\n\nHost: pod\n"),
    "nginxdemos/hello:plain-text": (80, [], "URI: /path?a=b\n"),
    "nginxdemos/hello": (80, [], "<title>Hello World</title>"),
    "registry.k8s.io/hpa-example": (80, [], "OK!"),
    "registry.k8s.io/goproxy:0.1": (8080, [], "This is a proxy server. Does not respond to non-proxy requests.\n"),
    "registry.k8s.io/liveness": (8080, ["/server"], "404: Not Found"),
}


@pytest.mark.parametrize("image", SERVERS)
async def test_a_tutorials_server_answers(node: Node, image: str) -> None:
    if node.kind == "root" and not os.environ.get("PANAL_TEST_ALL"):
        pytest.skip("PANAL_TEST_ALL=1 asks root's runtime too; it differs from a user's in nothing that they see")
    port, args, expected = SERVERS[image]
    pod = await node.pod("sample")
    await node.run(image=image, sandbox=pod, args=args or None)
    _, body = await page(node, pod.id, port, "/path?a=b")
    assert expected in body


async def test_whoami_and_echo_take_their_settings_from_flags_and_environment(node: Node) -> None:
    port = 18090 + os.getpid() % 1000
    pod = await node.pod("settings")
    await node.run(image="traefik/whoami", sandbox=pod, args=["--port", str(port), "--name", "first"])
    status, body = await page(node, pod.id, port, "/api")
    assert (status, '"name": "first"' in body) == (200, True)
    env = {"ECHO_TEXT": "from the environment"}
    where = f"-listen=:{port + 1}"
    echo = await node.run(image="hashicorp/http-echo", sandbox=pod, args=[where, "-status-code=418"], env=env)
    assert await page(node, pod.id, port + 1, "/") == (418, "from the environment\n")
    await node.said(echo, '"GET / HTTP/1.1" 418 21')
    missing = await node.run(image="hashicorp/http-echo", sandbox=pod)
    assert (await node.ended(missing)).exit_code == 127
    assert node.output(missing) == "Missing -text option or ECHO_TEXT env var!"


async def test_goproxy_forwards(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("both ask by localhost")
    pod = await node.pod("proxy")
    await node.run(image="hashicorp/http-echo", sandbox=pod, args=["-text=through"])
    await node.run(image="registry.k8s.io/goproxy:0.1", sandbox=pod)
    assert await page(node, pod.id, 5678, "/") == (200, "through\n")
    assert await page(node, pod.id, 8080, "http://127.0.0.1:5678/") == (200, "through\n")
    assert (await page(node, pod.id, 8080, "http://127.0.0.1:1/"))[0] == 502


async def test_stress_holds_its_memory_until_its_time_is_over(node: Node) -> None:
    words = ["--vm", "1", "--vm-bytes", "40M", "--vm-hang", "1", "--timeout", "2s"]
    container = await node.run("stress", image="polinux/stress", args=words)
    await node.said(container, "dispatching hogs: 0 cpu, 0 io, 1 vm, 0 hdd")
    for _ in range(200):
        if (await node.runtime.usage(container)).memory_bytes > 40 << 20:
            break
    else:
        raise AssertionError(node.output(container))
    assert (await node.ended(container)).exit_code == 0
    assert "successful run completed in " in node.output(container)


async def test_stress_fails_when_a_worker_is_killed(node: Node) -> None:
    container = await node.run(image="polinux/stress", args=["--cpu", "2"])
    await node.said(container, "dispatching hogs: 2 cpu")
    script = "kill -9 $(cat /proc/1/task/1/children | cut -d' ' -f1)"
    if not node.namespaces:
        pytest.skip("its process 1 is the machine's")
    for _ in range(200):
        if (await node.runtime.exec(container, ["sh", "-c", script])).exit_code == 0:
            break
    assert (await node.ended(container)).exit_code == 1
    assert "got signal 9" in node.output(container)


async def test_stress_says_what_it_does_not_understand(node: Node) -> None:
    container = await node.run(image="polinux/stress", args=["--vm", "many"])
    assert (await node.ended(container)).exit_code == 2
    assert "argument -m/--vm" in node.output(container)


async def test_a_version_that_was_never_published_is_not_found(node: Node) -> None:
    """The tutorial on rolling updates shows what happens then."""
    with pytest.raises(ImageMissing, match=r"kubernetes-bootcamp:v10: not found"):
        await node.runtime.pull(f"{BOOTCAMP}:v10")


async def test_nslookup_of_the_version_that_tutorials_ask_for_looks_in_the_search_domains(node: Node) -> None:
    lookup = await node.run("nslookup", "localhost", image="busybox:1.28")
    assert (await node.ended(lookup)).exit_code == 0
    assert "Name:      localhost\nAddress 1: " in node.output(lookup)
    assert "127.0.0.1 localhost" in node.output(lookup)
    for image, place in (("busybox:1.28", "sbin"), ("busybox:1.36", "bin"), ("busybox", "bin")):
        which = await node.run("sh", "-c", "command -v nslookup", image=image)
        assert (await node.ended(which)).exit_code == 0
        assert node.output(which).endswith(f"/usr/local/{place}/nslookup")


async def test_a_shells_image_has_users_of_its_own_and_not_the_machines(node: Node) -> None:
    if not node.namespaces:
        pytest.skip("bare processes see the machine's files")
    for image in ("busybox:1.28", "bash"):
        container = await node.run("sh", "-c", "cut -d: -f1 /etc/passwd | tr '\\n' ' '", image=image)
        assert (await node.ended(container)).exit_code == 0
        assert node.output(container) == "root www-data nobody "
